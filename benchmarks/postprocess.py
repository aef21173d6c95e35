"""Time of median filter and decoding, against scipy's filter and a loop over the changes of each class.

python benchmarks/postprocess.py [--frames 15000] [--classes 447] [--windows 3 9 31 101] [--thresholds 0.3 0.5 0.7]
    [--rounds 5]

Both take turns in one process on one thread. Time is CPU time of the process; a ratio is the median over rounds. Their
outputs must be identical. Scores are sigmoids of a slow random walk with noise, most of them low; 15000 frames are ten
minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numba
import numpy as np
import scipy
import torch
from scipy.ndimage import median_filter

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.machine.environment import device_name
from efficient_sed.postprocessing.events import decode_thresholds
from efficient_sed.postprocessing.median import smooth_scores

GRID = FrameGrid()


def random_scores(num_frames: int, num_classes: int) -> np.ndarray:
    """Sigmoids of a slow random walk with noise, shape (frames, classes)."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((num_frames, num_classes), dtype=np.float32) / 5, axis=0)
    return np.asarray(
        1 / (1 + np.exp(7 - 6 * np.sin(walk / 16) - rng.standard_normal((num_frames, num_classes), dtype=np.float32))),
        dtype=np.float32,
    )


def textbook_decode(
    scores: np.ndarray, classes: Sequence[str], grid: FrameGrid, thresholds: Iterable[float], duration_s: float
) -> dict[float, list[Event]]:
    """A loop over thresholds, classes and the changes of each."""
    events: dict[float, list[Event]] = {}
    for threshold in thresholds:
        active = scores >= threshold
        events[threshold] = []
        for column, label in enumerate(classes):
            changes = np.flatnonzero(np.diff(active[:, column].astype(np.int8), prepend=0, append=0))
            for first, last in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
                onset_s, offset_s = round(first * grid.hop_s, 6), round(min(last * grid.hop_s, duration_s), 6)
                events[threshold].append(Event(onset_s, offset_s, label, float(scores[first:last, column].max())))
        events[threshold].sort()
    return events


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Milliseconds of ours and theirs, and how many times as long theirs takes; the first round warms up."""
    seconds: list[tuple[float, float]] = []
    for repeat in range(rounds + 1):
        pair = []
        for side in (ours, theirs):
            start = time.process_time()
            side()
            pair.append(time.process_time() - start)
        if repeat:
            seconds.append((pair[0], pair[1]))
    mine, other = ([pair[side] for pair in seconds] for side in (0, 1))
    return 1e3 * statistics.median(mine), 1e3 * statistics.median(other), statistics.median(b / a for a, b in seconds)


def print_row(
    step: str, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, is_equal: Callable[[Any, Any], bool]
) -> None:
    """Print a row of the table."""
    if not is_equal(ours(), theirs()):
        raise SystemExit(f"{step}: the outputs differ")
    mine, other, ratio = compare(ours, theirs, rounds)
    print(f"| {step} | {mine:.0f} | {other:.0f} | {ratio:.1f} | identical |", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=15000)
    parser.add_argument("--classes", type=int, default=447)
    parser.add_argument("--windows", nargs="+", type=int, default=[3, 9, 31, 101])
    parser.add_argument("--thresholds", nargs="+", type=float, default=[0.3, 0.5, 0.7])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as numpy, scipy and our loops have it
    scores = random_scores(options.frames, options.classes)
    classes, duration_s, thresholds, rounds = (
        [f"class {i}" for i in range(options.classes)],
        options.frames * GRID.hop_s,
        options.thresholds,
        options.rounds,
    )

    def ours(window: int) -> dict[float, list[Event]]:
        return decode_thresholds(smooth_scores(scores, window), classes, GRID, thresholds, duration_s)

    def theirs(window: int) -> dict[float, list[Event]]:
        return textbook_decode(median_filter(scores, size=(window, 1)), classes, GRID, thresholds, duration_s)

    versions = f"numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}"
    counts = ", ".join(f"{len(events)} at {threshold:g}" for threshold, events in ours(9).items())
    print(
        f"{device_name(torch.device('cpu'))}, {versions}, {options.frames} x {options.classes} scores, "
        f"float32; events after median 9: {counts}\n"
    )
    print("| step | ours ms | textbook ms | ratio | output |")
    print("|---|---:|---:|---:|---|")
    for window in options.windows:
        print_row(
            f"median {window}",
            partial(smooth_scores, scores, window),
            partial(median_filter, scores, size=(window, 1)),
            rounds,
            np.array_equal,
        )
    smoothed = smooth_scores(scores, 9)
    arguments = (smoothed, classes, GRID, thresholds, duration_s)
    print_row(
        f"decode, {len(thresholds)} thresholds",
        lambda: decode_thresholds(*arguments),
        lambda: textbook_decode(*arguments),
        rounds,
        dict.__eq__,
    )
    print_row(
        f"median 9 and decode, {len(thresholds)} thresholds", lambda: ours(9), lambda: theirs(9), rounds, dict.__eq__
    )


if __name__ == "__main__":
    main()
