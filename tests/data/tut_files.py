"""A few short mixtures in the layout in which TUT-SED Synthetic 2016 is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

NAME = "TUT-SED-synthetic-2016"
NUM_MIXTURES = 5


def write_tut(
    root: Path, seconds: float = 3.0, rate: int = 44_100, num_mixtures: int = NUM_MIXTURES, first: int = 1
) -> Path:
    """Noise with a tone where dogs bark; rain all along the second half of each."""
    rng = np.random.default_rng(0)
    (root / "audio").mkdir(parents=True, exist_ok=True)
    (root / "meta").mkdir(exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    for number in range(first, first + num_mixtures):
        onset = round(float(rng.uniform(0.1, 0.4)) * seconds, 6)
        offset = round(onset + 0.3 * seconds, 6)
        tone = 0.3 * np.sin(2 * np.pi * 1000 * time) * ((time >= onset) & (time < offset))
        soundfile.write(audio_path(root, number), rng.uniform(-0.1, 0.1, len(time)) + tone, rate, subtype="FLOAT")
        meta_path(root, number).write_text(f"{onset}\t{offset}\tdog_barking\n{seconds / 2}\t{seconds}\train\n")
    return root


def audio_path(root: Path, number: int) -> Path:
    return root / "audio" / f"{NAME}-mix-{number}.wav"


def meta_path(root: Path, number: int) -> Path:
    return root / "meta" / f"{NAME}-annot-{number}.txt"
