"""A data set is one file: its name, its options, its check and a training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from adding import added

from efficient_sed.cli.main import main
from efficient_sed.registry import DATASETS

SOURCE = '''
from dataclasses import dataclass
from pathlib import Path

from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.parts import read_parts
from efficient_sed.errors import require
from efficient_sed.registry import DATASETS


@DATASETS.register("whistles")
@dataclass(frozen=True)
class WhistlesConfig(DataConfig):
    """Every file is one whistle, from its begin on."""

    root: str = "whistles"
    """Folder of train/, validation/ and test/."""
    whistle_s: float = 0.5
    """How long each whistle is."""

    def __post_init__(self):
        super().__post_init__()
        require(self.whistle_s > 0, "data.whistle_s", self.whistle_s, "above 0")

    def load(self) -> Splits:
        folders = {part: Path(self.root) / part for part in ("train", "validation", "test")}
        events = {
            part: {path.name: [Event(0.0, self.whistle_s, "whistle")] for path in sorted(folder.glob("*.wav"))}
            for part, folder in folders.items()
        }
        return read_parts(folders, events, ("whistle", "silence"), self.on_error, self.num_workers)
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part in ("train", "validation", "test"):
        (tmp_path / "sounds" / part).mkdir(parents=True)
        for number in range(2):
            noise = np.random.default_rng(number).normal(size=16_000) * 0.1
            soundfile.write(tmp_path / "sounds" / part / f"{part}{number}.wav", noise, 16_000)
    return tmp_path / "sounds"


def test_a_data_set_from_one_file(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data=whistles", f"data.root={root}", "data.num_workers=0"]
    with added(DATASETS, tmp_path / "plugin", "whistles", SOURCE):
        assert main(["train", "--show-config", *words, "data.whistle_s=0.25"]) == 0
        shown = json.loads(capsys.readouterr().out)["data"]
        assert (shown["name"], shown["whistle_s"]) == ("whistles", 0.25)
        assert main(["train", *words, "data.whistle_s=0"]) == 2
        assert "data.whistle_s=0.0 is not allowed: above 0" in capsys.readouterr().err
        assert main(["data", "check", *words]) == 0
        assert "whistle" in capsys.readouterr().out
        quick = "backbone=fmn04 seq=none train.epochs=1 train.batch_size=2 data.clip_seconds=1 benchmark.repeats=3"
        out = f"output_dir={tmp_path / 'runs'}"
        assert (
            main(["train", "--quiet", *words, *quick.split(), "benchmark.seconds=1", "benchmark.batch_size=1", out])
            == 0
        )
        (result,) = (tmp_path / "runs").rglob("result.json")
        assert json.loads(result.read_text())["data"]["name"] == "whistles"
    assert main(["train", "--show-config", *words]) == 2
    assert "unknown data set data=whistles" in capsys.readouterr().err


HEAVY = ("h5py", "pytorch_lightning", "lightning", "pyarrow", "matplotlib")


def loaded(code: str) -> list[str]:
    """Which of the heavy packages a new process has loaded after some code."""
    script = f"import sys\n{code}\nprint('loaded', *[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


def test_importing_data_sets_is_light() -> None:
    assert loaded("from efficient_sed.registry import DATASETS\nassert len(DATASETS.names()) >= 10") == []
    assert loaded("import h5py") == ["h5py"]


@pytest.mark.parametrize(
    "arguments",
    [["train", "--show-config"], ["train", "--show-config", "data=packed"], ["train", "--help"], ["--help"]],
)
def test_showing_is_light(arguments: list[str]) -> None:
    run = f"from efficient_sed.cli.main import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass"
    assert loaded(run) == []
