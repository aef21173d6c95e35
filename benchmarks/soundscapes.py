"""Time of mixing training scenes, against reading scenes of the same length from FLAC files.

python benchmarks/soundscapes.py [--rounds 200] [data.speed_change=0.1 …]

Both sides are training excerpts of 10 s with their labels, as a data loader reads them, in one process on one thread.
They take turns; the ratio is the median over rounds. The sounds are generated: 16 classes, 20 sounds each, of 0.05 to
7 s; files lie in the file system's cache, sounds in the file that is mapped into memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from efficient_sed.audio.grid import SAMPLE_RATE, FrameGrid
from efficient_sed.data.dataset import Item, TrainingClips
from efficient_sed.data.samplers import Draw
from efficient_sed.data.sets.soundscapes import SoundscapesConfig
from efficient_sed.data.sounds import SOUND_CLASSES, GeneratedSound
from efficient_sed.experiment.compose import compose_run

SOUNDS, CLIP_S = 20, 10.0


def write_sounds(folder: Path) -> None:
    """Write isolated sounds: folder/LABEL/N.flac."""
    rng = np.random.default_rng(0)
    for label in SOUND_CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(SOUNDS):
            sound = GeneratedSound(label)
            samples = sound.samples(rng, round(sound.duration_s(rng) * SAMPLE_RATE))
            soundfile.write(folder / label / f"{number}.flac", samples * (0.5 / np.abs(samples).max()), SAMPLE_RATE)


def seconds(clips: TrainingClips, draw: Draw) -> float:
    """Time one excerpt, in seconds."""
    begun = time.perf_counter()
    item = clips[draw]
    taken = time.perf_counter() - begun
    if not isinstance(item, Item):
        raise TypeError(item)
    return taken


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options of the scenes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_sounds(Path(folder) / "sounds")
        places = [f"data.foreground={folder}/sounds", f"data.root={folder}/scenes", f"data.clip_seconds={CLIP_S:g}"]
        config = compose_run(["data=soundscapes", *places, *options.overrides]).data
        if not isinstance(config, SoundscapesConfig):
            raise TypeError(config)
        splits = config.load()
        mixed, read = (
            TrainingClips(clips, splits.classes, FrameGrid(), CLIP_S, seed=0) for clips in (splits.train, splits.test)
        )
        times = []
        for turn in range(-10, options.rounds):  # the first ones open files and make noise
            sides = [(mixed, Draw(0, turn % len(mixed))), (read, Draw(0, turn % len(read)))]
            order = 1 if turn % 2 else -1
            times.append([seconds(*side) for side in sides[::order]][::order])
    own, other = (1000 * statistics.median(side) for side in zip(*times[10:], strict=True))
    ratios = [reading / mixing for mixing, reading in times[10:]]
    low, _, high = statistics.quantiles(ratios, n=4)
    all_mixed, all_read = (sum(side) for side in zip(*times[10:], strict=True))
    print("| mixing a scene | reading it from FLAC | speed of mixing | quartiles | of all rounds |")
    print("|---:|---:|---:|---:|---:|")
    speed = f"{statistics.median(ratios):.2f} | {low:.2f} to {high:.2f} | {all_read / all_mixed:.2f}"
    print(f"| {own:.2f} ms | {other:.2f} ms | {speed} |")


if __name__ == "__main__":
    main()
