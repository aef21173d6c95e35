"""Time of reading excerpts by `read_audio`, which checks headers, against libsndfile alone, which believes them.

python benchmarks/reading.py [--rounds 60]

Both decode the same samples, average channels and resample. They take turns on one thread; a ratio is the median over
rounds. `first` is the first read of a file, `later` all others.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import read_audio
from efficient_sed.audio.resample import resample

FILES = {"10 s": 10.0, "10 min": 600.0}
KINDS = ("wav", "flac", "ogg", "mp3")
RATE, EXCERPT_S = 44_100, 10.0


def plain(path: Path, start_s: float) -> np.ndarray:
    """Ten seconds, with the margins that resampling and MP3 need."""
    with soundfile.SoundFile(str(path)) as file:
        margin = RATE if file.format != "MP3" else 2 * RATE
        first = max(0, round(start_s * RATE) - margin)
        last = min(file.frames, round((start_s + EXCERPT_S) * RATE) + RATE)
        file.seek(first)
        samples = file.read(last - first, dtype="float32", always_2d=True)
    if not np.isfinite(samples).all():
        raise ValueError(path)
    mono: np.ndarray = samples.mean(axis=1)
    begin = round((start_s - first / RATE) * SAMPLE_RATE)
    return resample(mono, RATE, SAMPLE_RATE)[begin : begin + round(EXCERPT_S * SAMPLE_RATE)]


def seconds(function: Callable[[], object]) -> float:
    """Time a call, in seconds."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    print("| recording | libsndfile alone | speed, first | speed, later |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, length_s in FILES.items():
            noise = random.normal(scale=0.1, size=(round(length_s * RATE), 2)).clip(-0.9, 0.9)
            for kind in KINDS:
                path = Path(folder) / f"a.{kind}"
                with soundfile.SoundFile(path, "w", RATE, 2) as file:
                    for block in np.array_split(
                        noise, max(1, round(length_s / EXCERPT_S))
                    ):  # long ones at once crash Vorbis
                        file.write(block)
                firsts, laters, times = [], [], []
                for turn in range(options.rounds):
                    copy = Path(folder) / f"{turn}.{kind}"
                    shutil.copy(path, copy)
                    start_s = random.uniform(0, length_s - EXCERPT_S)
                    plain(copy, start_s)  # into the file system's cache
                    sides = [lambda: plain(copy, start_s), lambda: read_audio(copy, start_s, EXCERPT_S)]  # noqa: B023
                    reference, first = (seconds(side) for side in sides)
                    later, again = (seconds(side) for side in reversed(sides))
                    firsts.append(reference / first)
                    laters.append(again / later)
                    times.append(reference)
                    copy.unlink()
                columns = (
                    f"{1000 * statistics.median(times):.1f} ms",
                    *(f"{statistics.median(ratios):.2f}" for ratios in (firsts, laters)),
                )
                print(f"| {name} of {kind} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
