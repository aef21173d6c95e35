"""The Python of the how-to pages runs, and the head of "Add a head" is a head."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_pages import ROOT, blocks

from efficient_sed.models import sequence

PAGES = [
    page
    for page in sorted((ROOT / "docs" / "how-to").glob("*.md"))
    if any(b.language == "python" for b in blocks(page))
]
EXTEND = "import os\nimport efficient_sed.models.sequence as package\npackage.__path__.append(os.environ['NEW_HEAD'])\n"


def test_how_many_were_seen() -> None:
    assert [page.stem for page in PAGES] == ["streaming"]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            run(["-c", block.text], tmp_path, {})


@pytest.mark.slow
def test_new_head_is_one_file(tmp_path: Path) -> None:
    page = ROOT / "docs" / "explanation" / "add-a-head.md"
    (block,) = [block for block in blocks(page) if block.language == "python"]
    path = re.search(r'title="(efficient_sed/models/sequence/(\w+)\.py)"', block.title)
    assert path is not None
    assert not (Path(sequence.__file__).parent / f"{path[2]}.py").exists()
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / f"{path[2]}.py").write_text(block.text, encoding="utf-8")
    (tmp_path / "conftest_head.py").write_text(EXTEND, encoding="utf-8")
    extra = {"NEW_HEAD": str(tmp_path / "head"), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def command(*words: str) -> str:
        code = f"{EXTEND}import sys\nfrom efficient_sed.cli.main import main\nsys.exit(main({list(words)!r}))"
        return run(["-c", code], tmp_path, extra)

    assert '"width": 9' in command("train", "seq=average", "seq.hidden=128", "seq.width=9", "--show-config")
    assert "fmn04+average-128" in command("benchmark", "fmn04+average-128", "--seconds", "1", "--modes", "eager")
    tests = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "conftest_head",
        "tests/models/test_contract.py",
        "-k",
        "average",
    ]
    found = re.search(r"(\d+) passed", run(tests, ROOT, extra))
    assert found is not None
    assert int(found[1]) >= 8


def run(words: list[str], folder: Path, extra: dict[str, str]) -> str:
    """Run Python in a folder and return its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **extra}
    process = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return process.stdout
