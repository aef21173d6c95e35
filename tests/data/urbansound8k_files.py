"""A few short clips in the layout in which UrbanSound8K is published, in the kinds of files that it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
KINDS = (
    (44_100, 1, "PCM_16"),
    (48_000, 2, "PCM_24"),
    (8_000, 1, "PCM_U8"),
    (192_000, 2, "FLOAT"),
    (22_050, 1, "IMA_ADPCM"),
)
"""Sample rate, channels and coding; the last one has four bits."""


def write_urbansound8k(root: Path, per_fold: int = 2, seconds: float = 1.0) -> Path:
    """A tone of its class's own pitch in each clip, every other one shorter."""
    rows, index = [HEADER], 0
    for fold in range(1, 11):
        folder = root / "audio" / f"fold{fold}"
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(per_fold):
            label, (rate, channels, subtype) = index % len(CLASSES), KINDS[index % len(KINDS)]
            length = seconds if index % 2 else 0.4 * seconds
            tone = 0.3 * np.sin(2 * np.pi * 200 * (label + 1) * np.arange(round(length * rate)) / rate)
            name = f"{1000 + index}-{label}-0-0.wav"
            soundfile.write(folder / name, np.repeat(tone[:, None], channels, axis=1), rate, subtype=subtype)
            rows.append(f"{name},{1000 + index},0.0,{length},1,{fold},{label},{CLASSES[label]}")
            index += 1
    (root / "metadata").mkdir(exist_ok=True)
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    return root
