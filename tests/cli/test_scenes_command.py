"""`efficient-sed data scenes`, and a training on mixed scenes with negatives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import Run
from sound_files import write_sound, write_sounds

from efficient_sed.data.annotations.reading import read_annotations

SMALL = "data.num_train=4 data.num_validation=4 data.num_test=4 data.clip_seconds=2 data.num_workers=0"


@pytest.fixture
def sounds(tmp_path: Path) -> str:
    write_sounds(tmp_path / "foreground", each=3)
    for number in range(3):
        write_sound(tmp_path / "negatives" / f"{number}.wav", 5000 + 300 * number)
    own = f"data.foreground={tmp_path}/foreground data.negatives={tmp_path}/negatives data.root={tmp_path}/sets"
    return f"data=soundscapes {own} {SMALL}"


def test_scenes_to_listen_to(run: Run, sounds: str, tmp_path: Path) -> None:
    output = tmp_path / "scenes"
    status, out, _ = run(f"data scenes {sounds} --output {output} --count 6")
    assert status == 0
    assert out == f"{output}: 6 scenes as epoch 1 of a training with seed=0 begins, with {output}/train.tsv\n"
    events = read_annotations(output / "train.tsv").events
    assert len(events) == 6
    audio = [soundfile.read(output / "audio" / name)[0] for name in events]
    assert all(len(samples) == 32_000 for samples in audio)
    assert not np.array_equal(audio[0], audio[4])  # the first clip of the second epoch
    for words, message in (
        (f"{sounds} --output {output}", f"--output {output}: is there already; give another name, or delete it first"),
        (sounds, "data scenes takes a folder to write: --output DIR"),
        (f"{sounds} --output {output}2 --count 0", "--count 0 is not allowed: 1 to 100000"),
        (f"data=synthetic --output {output}2", "data=synthetic mixes no scenes; give data=soundscapes"),
        (f"{sounds} --output {output}2 --force", "--force and --shard-gb belong to: efficient-sed data pack"),
        (f"data=soundscapes data.foreground={tmp_path}/none", f"data.foreground={tmp_path}/none: no such directory"),
    ):
        status, out, err = run(f"data scenes {words}")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert message in err


@pytest.mark.slow
def test_a_training_counts_false_alarms(run: Run, sounds: str, tmp_path: Path) -> None:
    words = (
        f"train {sounds} backbone=fmn04 seq=none train.epochs=1 train.batch_size=2 output_dir={tmp_path}/runs "
        "evaluation.metrics=[psds,event] evaluation.tune_folds=2 benchmark.seconds=1 benchmark.modes=eager "
        "benchmark.repeats=3 benchmark.batches=[1] backbone.init=null"
    )
    status, out, err = run(words)
    assert status == 0, err
    (path,) = tmp_path.glob("runs/*/result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    metrics = result["metrics"]
    assert result["data"]["clips"] == {"train": 4, "validation": 4, "test": 4, "negatives": 1}
    for side in ("", "_tuned"):
        assert metrics[f"negatives_false_alarms_per_hour{side}"] >= 0
        assert set(metrics[f"per_class_negatives{side}"]) == {"cat", "dog"}
    assert metrics["negatives"]["recordings"] == 1
    assert metrics["negatives"]["unreadable"] == []
    assert "alarms/h" in out
