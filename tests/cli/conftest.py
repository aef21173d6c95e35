"""Files that the commands of the tests speak of, and a way to type a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command import TSV, Output, Run

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.data.sets.synthetic import SyntheticConfig


@pytest.fixture(scope="module")
def here(tiny_config: SyntheticConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths that the tables below speak of."""
    folder = tmp_path_factory.mktemp("cli")
    torch.manual_seed(0)
    es.save_model(es.create_model("fmn04", classes=["dog", "siren"]), folder / "model.safetensors")
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(folder / name, rng.normal(size=12_000) * 0.1, 16_000)
    (folder / "empty.wav").touch()
    soundfile.write(folder / "silent.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "long.flac", np.zeros(61 * 60 * 1000), 1000)
    (folder / "text.wav").write_text("this is not audio\n" * 100)
    (folder / "cut.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    (folder / "nothing").mkdir()
    (folder / "run.svg").mkdir()
    (folder / "table.csv").write_text("filename,onset,offset,event_label\n")
    (folder / "old_costs.csv").write_text("model,macs,created\nfmn04,1,2026-11-20\n")
    (folder / "damaged" / "run").mkdir(parents=True)
    (folder / "damaged" / "run" / "result.json").write_text("{}")
    tables = {
        **{
            part: f"{TSV}{name}.wav\t0.1\t0.3\tdog\n"
            for part, name in (("train", "a"), ("validation", "b"), ("test", "c"))
        },
        "no_column": "filename\tonset\tevent_label\na.wav\t0\tdog\n",
        "reversed": TSV + "a.wav\t0.5\t0.2\tdog\n",
        "unknown_label": TSV + "a.wav\t0.1\t0.3\tdgo\n",
        "absent_audio": TSV + "absent.wav\t0.1\t0.3\tdog\n",
        "no_events": TSV + "a.wav\t\t\t\n",
        "empty_audio": TSV + "empty.wav\t0.1\t0.3\tdog\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.tsv").write_text(text)
    tiny = (
        f"data.root={tiny_config.root} data.num_train=8 data.num_validation=4 data.num_test=4 "
        "data.scene_seconds=3 data.clip_seconds=3 data.num_workers=0"
    )
    own = f"data=folder data.root={folder} data.audio=. data.classes=[dog,siren] data.num_workers=0"
    return {"d": str(folder), "model": f"{folder}/model.safetensors", "tiny": tiny, "own": own}


@pytest.fixture
def run(
    here: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.chdir(tmp_path)  # what goes to a default place goes there

    def call(typed: str) -> Output:
        status = main(typed.format(**here).split())
        return Output(status, *capsys.readouterr())

    return call
