"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from efficient_sed.files.locks import HAS_FLOCK, lock_open_file, locked

TRY = """
import sys
from pathlib import Path
from efficient_sed.files.locks import locked
with locked(Path(sys.argv[1]), waits=False):
    pass
"""


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    attempt = [sys.executable, "-c", TRY, str(path)]
    with locked(path):
        refused = subprocess.run(attempt, capture_output=True, text=True, check=False)
    assert "Timeout" in refused.stderr.splitlines()[-1]
    assert not path.exists()
    subprocess.run(attempt, check=True)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "none" / "lock"):
        pass


@pytest.mark.skipif(not HAS_FLOCK, reason="this system has none")
def test_shared_locks_stand_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("r+b") as first, path.open("r+b") as second, path.open("r+b") as third:
        assert lock_open_file(first.fileno(), is_shared=True)
        assert lock_open_file(second.fileno(), is_shared=True)
        assert not lock_open_file(third.fileno(), is_shared=False)
        first.close()
        second.close()
        assert lock_open_file(third.fileno(), is_shared=False)
    assert path.read_bytes() == b"content"
