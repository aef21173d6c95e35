"""A few short clips in the layouts in which ESC-50 and RAVDESS are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from efficient_sed.data.sets.esc50 import Esc50Config

EMOTIONS = 8


def write_tone(path: Path, pitch_hz: float, seconds: float, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        path, 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate)) / rate), rate, subtype="PCM_16"
    )


def write_esc50(root: Path, targets: tuple[int, ...] = (0, 1, 49), seconds: float = 0.5) -> Path:
    """One clip of each of some classes in every fold, a tone of the class's own pitch."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for target in targets:
            name = f"{fold}-{1000 + target}-A-{target}.wav"
            write_tone(root / "audio" / name, 200 + 40 * target, seconds, 44_100)
            rows.append(f"{name},{fold},{target},{Esc50Config.classes[target]},{target < 2},{1000 + target},A")
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return root


def write_ravdess(root: Path, emotions: tuple[int, ...] = (1, 5, 8), seconds: float = 0.3) -> Path:
    """One phrase of some emotions of every actor."""
    for actor in range(1, 25):
        for emotion in emotions:
            write_tone(
                root / f"Actor_{actor:02}" / f"03-01-{emotion:02}-01-02-01-{actor:02}.wav",
                100 * emotion,
                seconds,
                48_000,
            )
    return root
