"""Looking at the package costs no import of torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import efficient_sed

HEAVY = ("torch", "numpy", "hydra", "pytorch_lightning", "soundfile")
REPORT = f"\nimport sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
HELP = """
from efficient_sed.cli import main
try:
    main([{}'--help'])
except SystemExit as stop:
    assert stop.code == 0, stop.code
"""


def last_line(code: str) -> str:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    ["import efficient_sed", "import efficient_sed; dir(efficient_sed)", "import efficient_sed.config.schema", HELP.format(""), HELP.format("'train', ")],
    ids=["import", "dir", "schema", "--help", "train --help"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert last_line(code + REPORT) == "[]"


def test_public_names_exist() -> None:
    assert len(efficient_sed.__all__) >= 6
    for name in efficient_sed.__all__:
        assert getattr(efficient_sed, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'laod_model'; it has: .*load_model"):
        efficient_sed.laod_model  # noqa: B018
