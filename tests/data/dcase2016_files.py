"""A few short recordings in the layout in which HEAR publishes DCASE 2016 Task 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

LABELS = (
    "clearthroat",
    "cough",
    "doorslam",
    "drawer",
    "keyboard",
    "keys",
    "knock",
    "laughter",
    "pageturn",
    "phone",
    "speech",
)
SIZES = {"train": 3, "valid": 2, "test": 2}


def write_dcase2016(root: Path, seconds: float, rate: int = 16_000) -> Path:
    """Noise with two events a recording, times in ms; the last training recording has none."""
    rng = np.random.default_rng(0)
    for part, count in SIZES.items():
        folder = root / str(rate) / part
        folder.mkdir(parents=True, exist_ok=True)
        content = {}
        for index in range(count):
            name = f"{part}_{index}.wav"
            soundfile.write(folder / name, rng.uniform(-0.1, 0.1, int(seconds * rate)), rate)
            events = [
                {"label": LABELS[index], "start": 250.0, "end": 1375.0},
                {"label": LABELS[index + 1], "start": 1000, "end": 2500},
            ]
            content[name] = [] if (part, index) == ("train", 2) else events
        (root / f"{part}.json").write_text(json.dumps(content))
    (root / "labelvocabulary.csv").write_text(
        "idx,label\n" + "".join(f"{index},{label}\n" for index, label in reversed(list(enumerate(LABELS))))
    )
    return root
