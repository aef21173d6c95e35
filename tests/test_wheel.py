"""The wheel: the same bytes whenever and wherever it is built, and all that the commands need is in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
SOURCES = (
    "efficient_sed",
    "configs",
    "pretrained",
    "benchmarks/published",
    "benchmarks/results",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


def build(folder: Path, when: int) -> Path:
    """The wheel of a copy of the sources that were changed last at that time."""
    for name in SOURCES:
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    for path in folder.rglob("*"):
        os.utime(path, (when, when))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "out"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (wheel,) = (folder / "out").iterdir()
    return wheel


@pytest.mark.slow
def test_built_alike_and_complete(tmp_path: Path) -> None:
    wheel = build(tmp_path / "one", 1_600_000_000)
    assert wheel.read_bytes() == build(tmp_path / "elsewhere", 1_700_000_000).read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert not [name for name in names if not re.match(r"efficient_sed(-[\d.]+\.dist-info)?/", name)]
        archive.extractall(tmp_path / "installed")
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    alone = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "OMP_NUM_THREADS": "1"}
    for words in ("models", "detect noise.wav --model fmn04+tf-128_synthetic"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "efficient_sed", *words.split()],
            cwd=tmp_path,
            env=alone,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import efficient_sed; print(efficient_sed.__file__)"],
        cwd=tmp_path,
        env=alone,
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(tmp_path))


def test_every_pinned_package_has_a_licence() -> None:
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    rows = [
        line.strip("| ").split(" | ")
        for line in (ROOT / "licences.md").read_text().splitlines()
        if line.startswith("| ")
    ][1:]
    assert {row[0]: row[1] for row in rows} == pinned
    strict = {(row[0], row[3]) for row in rows if re.search(r"(?<!L)GPL|Affero|GNU General", row[2])}
    assert strict <= {
        ("DCLS", "extra")
    }  # what would pass its terms on is never needed; a new one is a decision, not an accident
    assert {"torch", "numpy"} <= {row[0] for row in rows if row[3] == "needed"}
