"""README and tutorials are typed from the first line to the last; what they show as output comes out.

A command runs as it is written, but for what LONGER lists: there a few options are added that make it short.
On Linux all those of a page come out of one process that has imported everything, which is started once as a
reader would start it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from docs_pages import README, ROOT, TUTORIALS, Block, blocks, is_shown, shell_lines
from preloaded import preloaded
from sound_files import write_sound, write_sounds

import efficient_sed as es
from efficient_sed.models.weights.cards import DEFAULT_DETECTOR, get_card

NOT_RUN = {
    "make test": "it would run itself",
    "source .venv/bin/activate": "the environment of the tests is in use already",
    "pip install --no-deps . && pip install numpy soundfile numba rich onnxruntime": "tests install nothing",
    "npm install --prefix web onnxruntime-web@1.30.0": "tests install nothing; test_web_page.py has a copy",
    "python -m http.server --directory page": "it would not end; test_web_page.py serves a page",
    "efficient-sed listen --microphone --model detector.onnx": "there is no microphone; test_docs_names.py parses it",
}
QUICK = "benchmark.seconds=1 benchmark.modes=eager benchmark.repeats=3 benchmark.batches=[1]"
SHORT = f"train.epochs=1 train.min_steps_per_epoch=0 {QUICK}"
FEW = f"{SHORT} data.num_train=8 data.num_validation=4 data.num_test=4 data.scene_seconds=3 data.clip_seconds=3"
TEACH = "efficient-sed train experiment=own data=folder data.root=my_sounds"
FIRST = (
    "efficient-sed train experiment=finetune backbone=fmn04 seq=none train.epochs=2 train.min_steps_per_epoch=0 "
    "output_dir=first_runs data.num_train=48 data.num_validation=12 data.num_test=12 "
    "data.scene_seconds=5 data.clip_seconds=5"
)
OWN = "data.clip_seconds=5 data.median_frames=5 output_dir=my_runs"
TINY = "efficient-sed train experiment=tiny data=folder data.root=my_sounds output_dir=tiny_runs"
ROUND = "data.clip_seconds=5 data.median_frames=5 output_dir=round1_runs"
SOUNDS_OF = "data.foreground=sounds"
WITH_OTHERS = f"{SOUNDS_OF} data.background=rooms data.negatives=others"
SCENES, NEGATIVES = f"data=soundscapes {SOUNDS_OF}", f"data=soundscapes {WITH_OTHERS}"
MIX = "efficient-sed train experiment=isolated_sounds"
FEW_SCENES = "data.num_train=8 data.num_validation=6 data.num_test=6 data.clip_seconds=2"
LONGER = {
    f"efficient-sed data check {SCENES}": f"efficient-sed data check {SCENES} {FEW_SCENES}",
    f"{MIX} {SOUNDS_OF} output_dir=scene_runs": (
        f"{MIX} {SOUNDS_OF} output_dir=other_runs backbone=fmn04 {SHORT} {FEW_SCENES}"
    ),
    f"{MIX} {WITH_OTHERS} output_dir=scene_runs": (
        f"{MIX} {WITH_OTHERS} output_dir=scene_runs backbone=fmn04 {SHORT} {FEW_SCENES}"
    ),
    f"efficient-sed evaluate scene_runs/*/model.safetensors {NEGATIVES}": (
        f"efficient-sed evaluate scene_runs/*/model.safetensors {NEGATIVES} {FEW_SCENES}"
    ),
    "make sweep SEQ=tf HIDDEN=256": f"make sweep SEQ=tf HIDDEN=256 ARGS='{FEW}'",
    "make sweep SEQ=none,tf,gru HIDDEN=64,128 BACKBONE=fmn04": (
        f"make sweep SEQ=none,gru HIDDEN=64 BACKBONE=fmn04 ARGS='{FEW}'"
    ),
    FIRST: f"{FIRST} {QUICK}",
    TEACH: f"{TEACH} backbone=fmn04 {SHORT}",
    TINY: f"{TINY} {SHORT}",
    f"{TEACH} {OWN}": f"{TEACH} {OWN} backbone=fmn04 {SHORT}",
    f"{TEACH} data.train=train {ROUND}": f"{TEACH} data.train=train {ROUND} backbone=fmn04 {SHORT}",
    "efficient-sed export my_runs/*/model.safetensors --format web --runtime web/node_modules/onnxruntime-web "
    "--output page": "efficient-sed export my_runs/*/model.safetensors --format web --output page",
    "efficient-sed benchmark fmn10+tf-256 fmn04+gru-128": (
        "efficient-sed benchmark fmn10+tf-256 fmn04+gru-128 --seconds 1 --modes eager --batch 1"
    ),
    "efficient-sed benchmark fmn04+gru-128": (
        "efficient-sed benchmark fmn04+gru-128 --seconds 1 --modes eager --batch 1"
    ),
}
SOUNDS = "efficient-sed data check data=synthetic data.num_train=24 data.num_validation=12 data.num_test=12"
MOST_S = 300  # of one command; pytest's timeout ends the page


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a shell finds `efficient-sed`."""
    installed, folder = Path(sys.executable).parent, tmp_path_factory.mktemp("programs")
    weights = write_default_detector(Path(os.environ["EFFICIENT_SED_HOME"]))
    assert subprocess.run([installed / "efficient-sed", "--version"], check=True, capture_output=True).stdout
    with preloaded(folder) if sys.platform == "linux" else contextlib.nullcontext():
        yield os.pathsep.join([str(folder), str(installed), os.environ["PATH"]])
    weights.unlink()


def write_default_detector(home: Path) -> Path:
    """Random weights in the place of those that commands without `--model` fetch; they find next to nothing."""
    card = get_card(DEFAULT_DETECTOR)
    state = es.create_model(card.architecture, num_classes=card.num_classes).state_dict()
    state["classifier.strong.bias"] -= 10
    torch.save(state, home / card.file)
    return home / card.file


@pytest.mark.slow
def test_readme(tmp_path: Path, programs: str) -> None:
    type_line(SOUNDS, tmp_path, programs)
    (data,) = (tmp_path / "datasets").iterdir()
    shutil.copytree(data, tmp_path / "my_sounds")
    shutil.copytree(data / "audio" / "test", tmp_path / "recordings")
    shutil.copy(data / "audio" / "test" / "000000.flac", tmp_path / "scene.flac")
    assert type_page(README, tmp_path, programs) >= 10


@pytest.mark.slow
def test_tutorials(tmp_path: Path, programs: str) -> None:
    """One after the other in one folder, as a reader would: the later ones take what the first one made."""
    first, second, third, fourth, fifth, _ = TUTORIALS
    assert type_page(first, tmp_path, programs) >= 8
    assert type_page(second, tmp_path, programs) >= 4
    shutil.copytree(tmp_path / "my_sounds" / "audio" / "test", tmp_path / "recordings")  # those on the board
    assert type_page(third, tmp_path, programs) >= 6
    assert type_page(fourth, tmp_path, programs) >= 2
    assert type_page(fifth, tmp_path, programs) >= 8
    check_result_page(json.loads(next(tmp_path.glob("first_runs/*/result.json")).read_text(encoding="utf-8")))


@pytest.mark.slow
def test_isolated_sounds(tmp_path: Path, programs: str) -> None:
    write_sounds(tmp_path / "sounds", ("bark", "doorbell", "glass"), each=4)
    for number in range(3):
        write_sound(tmp_path / "others" / f"{number}.wav", 4000 + 500 * number)
        write_sound(tmp_path / "rooms" / f"{number}.wav", 100 + 50 * number, seconds=2.0)
    assert type_page(TUTORIALS[-1], tmp_path, programs) >= 7
    for path in tmp_path.glob("scene_runs/*/result.json"):
        check_result_page(json.loads(path.read_text(encoding="utf-8")))


def check_result_page(result: dict[str, Any]) -> None:
    """The page about results names every key of one, scores and costs too; of twins with "_tuned" the first."""
    text = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    for key in (*result, *result["metrics"], *result["complexity"]):
        assert f"`{key.removesuffix('_tuned')}`" in text, key


def test_lists_are_about_commands_that_are_shown() -> None:
    shown = {line for page in (README, *TUTORIALS) for block in blocks(page) for line in shell_lines(block.text)}
    assert set(NOT_RUN) | set(LONGER) <= shown


def type_page(page: Path, folder: Path, programs: str) -> int:
    """Run all shell and Python blocks of a page in a folder; returns how many commands that were."""
    shown = blocks(page)
    num_run = 0
    for block, after in zip(shown, [*shown[1:], Block("", "", "")], strict=True):
        if block.language == "python":
            type_line(f"{sys.executable} -c '{block.text}'", folder, programs)
        elif block.language == "sh":
            lines = [line for line in shell_lines(block.text) if line not in NOT_RUN]
            output = "".join(type_line(LONGER.get(line, line), folder, programs) for line in lines)
            num_run += len(lines)
            if after.language == "text" and not after.title:
                missing = [line for line in after.text.splitlines() if not is_shown(line, output)]
                assert not missing, f"{page.name} shows what does not come out:\n{missing}\n{output}"
    return num_run


def type_line(line: str, folder: Path, programs: str) -> str:
    """Run a command in a shell and return its output; a Make target is run as the command that Make would run."""
    if line.startswith("make "):
        dry = f"make --no-print-directory --dry-run --directory {ROOT} VENV={sys.prefix} {line.removeprefix('make ')}"
        process = subprocess.run(["bash", "-c", dry], capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr
        line = process.stdout.strip().splitlines()[-1].removeprefix(f"{sys.prefix}/bin/")
    libraries = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": libraries, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    sys.stdout.write(f"{line}\n")  # so that a report of a timeout names it
    process = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=MOST_S,
    )
    assert process.returncode == 0, f"{line}\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}"
    return process.stdout
