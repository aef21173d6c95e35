"""The Python of the how-to pages runs, and the parts that "Add a …" shows work when their file is added."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_pages import ROOT, blocks

from efficient_sed.data.sets.synthetic import SyntheticConfig

PAGES = [
    page
    for page in sorted((ROOT / "docs" / "how-to").glob("*.md"))
    if any(b.language == "python" for b in blocks(page))
]
ADDING = [ROOT / "docs" / "explanation" / f"{name}.md" for name in ("add-a-head", "add-others")]
EXTEND = """
import importlib, os, pathlib
for folder in pathlib.Path(os.environ["NEW_PARTS"]).rglob("*"):
    if any(folder.glob("*.py")):
        name = ".".join(folder.relative_to(os.environ["NEW_PARTS"]).parts)
        importlib.import_module(name).__path__.append(str(folder))
"""
COMMAND = EXTEND + "import sys\nfrom efficient_sed.cli.main import main\nsys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def new_parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the pages show, each in a file of its name in a folder of its own; as variables of the environment."""
    folder = tmp_path_factory.mktemp("parts")
    shown = [block for page in ADDING for block in blocks(page) if block.title and block.language == "python"]
    assert len(shown) == 3
    for block in shown:
        path = re.search(r'title="(efficient_sed/[\w/]+\.py)"', block.title)
        assert path is not None
        assert not (ROOT / path[1]).exists()
        (folder / path[1]).parent.mkdir(parents=True)
        (folder / path[1]).write_text(block.text, encoding="utf-8")
    (folder / "conftest_parts.py").write_text(EXTEND, encoding="utf-8")
    return {"NEW_PARTS": str(folder), "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            run(["-c", block.text], tmp_path, {"PYTHONPATH": str(ROOT)})


def test_how_many_were_seen() -> None:
    assert [page.stem for page in PAGES] == ["streaming"]


@pytest.mark.slow
def test_new_head(new_parts: dict[str, str], tmp_path: Path) -> None:
    words = ["train", "seq=average", "seq.hidden=128", "seq.width=9", "--show-config"]
    assert "width" in run(["-c", COMMAND, *words], tmp_path, new_parts)
    words = ["benchmark", "fmn04+average-128", "--seconds", "1", "--modes", "eager", "--batch", "1"]
    assert "fmn04+average-128" in run(["-c", COMMAND, *words], tmp_path, new_parts)
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest_parts", "-k", "average"]
    found = re.search(r"(\d+) passed", run([*tests, "tests/models/test_contract.py"], ROOT, new_parts))
    assert found is not None
    assert int(found[1]) >= 8


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_data")
def test_new_data_set_and_metric(new_parts: dict[str, str], tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    (data,) = Path(tiny_config.root).iterdir()
    shutil.copytree(data / "audio", tmp_path / "audio")
    rows = ["file,part,start,end,species"]
    for part in ("train", "validation", "test"):
        for line in (data / f"{part}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
            name, onset, offset, label = line.split("\t")
            rows += [f"{name},{part},{onset},{offset},{label}"] if label else []
    (tmp_path / "birds.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert "unreadable files: 0" in run(
        ["-c", COMMAND, "data", "check", "data=birds", "data.root=."], tmp_path, new_parts
    )
    keys = ("root", "num_train", "num_validation", "num_test", "scene_seconds", "clip_seconds", "num_workers")
    same = [f"data.{key}={getattr(tiny_config, key)}" for key in keys]
    words = ["evaluate", "fmn04+tf-128_synthetic", "data=synthetic", *same]
    found = re.search(r'"event_ratio": ([\d.]+)', run(["-c", COMMAND, *words], tmp_path, new_parts))
    assert found is not None
    assert 0 < float(found[1]) < 100


def run(words: list[str], folder: Path, extra: dict[str, str]) -> str:
    """Run Python in a folder and return its output."""
    process = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **extra},
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return process.stdout
