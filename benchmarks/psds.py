"""Time of the exact PSDS against sed_scores_eval's, and its time and memory at the size of AudioSet Strong.

python benchmarks/psds.py [--sizes CLIPSxCLASSES …] [--psds2-sizes CLIPSxCLASSES …] [--rounds N] [--full]

Both take turns in one process on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version

import numpy as np
import torch

from efficient_sed.machine.environment import device_name
from efficient_sed.machine.memory import process_peak_mb
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.parameters import PSDS1, PSDS2, PsdsParameters

FRAMES, HOP_S, DURATION_S = 250, 0.04, 10.0
FULL = (16_935, 407)
Clip = tuple[str, np.ndarray, list[tuple[float, float, str]]]


def make_clips(num_clips: int, classes: list[str], seed: int = 0) -> Iterator[Clip]:
    """Smoothed noise as scores, raised where one of about five events lies; classes are drawn with a long tail."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(3, len(classes) + 3)
    for index in range(num_clips):
        steps = np.repeat(rng.normal(-4, 1.5, (32, len(classes))).astype(np.float32), 8, axis=0)[:FRAMES]
        events = []
        for column in rng.choice(len(classes), rng.integers(1, 8), p=share / share.sum()):
            onset = float(np.round(rng.uniform(0, 9), 3))
            offset = float(np.round(min(DURATION_S, onset + rng.exponential(3) + 0.1), 3))
            events.append((onset, offset, classes[column]))
            steps[int(onset / HOP_S) : int(offset / HOP_S) + 1, column] += rng.normal(4, 2)
        yield f"clip{index}", 1 / (1 + np.exp(-steps)), events


def score_exactly(clips: list[Clip], classes: list[str], parameters: PsdsParameters = PSDS1) -> float:
    """Plain mean over classes by this project."""
    accumulator = PsdsAccumulator(classes, [DURATION_S] * len(clips), frame_hop_s=HOP_S, parameters=parameters)
    for clip, scores, events in clips:
        accumulator.update(clip, scores, events, DURATION_S)
    return accumulator.compute().macro


def library_scorer(clips: list[Clip], classes: list[str], parameters: PsdsParameters = PSDS1) -> Callable[[], float]:
    """The same by sed_scores_eval in one process; its tables are built beforehand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

    from efficient_sed.data.events import Event, merge_overlapping

    borders = np.round(np.arange(FRAMES + 1) * HOP_S, 6)
    present = [label for label in classes if any(event[2] == label for _, _, events in clips for event in events)]
    columns = [classes.index(label) for label in present]
    tables = {clip: create_score_dataframe(scores[:, columns], borders, present) for clip, scores, _ in clips}
    truth = {
        clip: [tuple(event[:3]) for event in merge_overlapping(Event(*event) for event in events)]
        for clip, _, events in clips
    }

    def score() -> float:
        per_class = intersection_based.psds(
            scores=tables, ground_truth=truth, audio_durations=dict.fromkeys(tables, DURATION_S),
            dtc_threshold=parameters.dtc, gtc_threshold=parameters.gtc, cttc_threshold=parameters.cttc,
            alpha_ct=parameters.alpha_ct, alpha_st=parameters.alpha_st, max_efpr=parameters.max_efpr,
            unit_of_time="hour", num_jobs=1,
        )[1]  # fmt: skip
        return float(np.mean(list(per_class.values())))

    return score


def timed(call: Callable[[], float]) -> tuple[float, float]:
    """Value and CPU seconds."""
    start = time.process_time()
    value = call()
    return value, time.process_time() - start


def compare(size: str, rounds: int, parameters: PsdsParameters) -> None:
    """One row of the table."""
    num_clips, num_classes = map(int, size.split("x"))
    classes = [f"class{index:03}" for index in range(num_classes)]
    clips = list(make_clips(num_clips, classes))
    library = library_scorer(clips, classes, parameters)
    own_s, library_s, differences = [], [], []
    for _ in range(rounds):
        own, seconds = timed(lambda: score_exactly(clips, classes, parameters))
        own_s.append(seconds)
        other, seconds = timed(library)
        library_s.append(seconds)
        differences.append(abs(own - other))
    ratio = statistics.median(slow / fast for slow, fast in zip(library_s, own_s, strict=True))
    print(
        f"| {parameters.name.upper()} | {num_clips} x {num_classes} | {rounds} | {statistics.median(library_s):.2f} | "
        f"{statistics.median(own_s):.3f} | {ratio:.0f} | {np.max(differences):.0e} |",
        flush=True,
    )


def measure_full() -> None:
    """Time without the making of scores, and peak memory with it; in a process of its own."""
    classes = [f"class{index:03}" for index in range(FULL[1])]
    accumulator = PsdsAccumulator(classes, [DURATION_S] * FULL[0], frame_hop_s=HOP_S)
    seconds = 0.0
    for clip, scores, events in make_clips(FULL[0], classes):
        start = time.process_time()
        accumulator.update(clip, scores, events, DURATION_S)
        seconds += time.process_time() - start
    macro, last = timed(lambda: accumulator.compute().macro)
    peak_gb = (process_peak_mb() or 0.0) / 2**10
    print(
        f"{FULL[0]} x {FRAMES} x {FULL[1]}: {seconds + last:.1f} s ({last:.1f} of them at the end), peak "
        f"memory {peak_gb:.2f} GiB; macro {macro:.4f}",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", nargs="*", default=["1168x10", "200x50", "400x407", "2000x407"], help="clips x classes"
    )
    parser.add_argument("--psds2-sizes", nargs="*", default=["1168x10", "200x50"], help="the same for PSDS2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="only the full size, without the library")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm = [f"class{index}" for index in range(3)]
    for parameters in (PSDS1, PSDS2):
        score_exactly(list(make_clips(3, warm)), warm, parameters)  # compiles
    if options.full:
        measure_full()
        return
    subprocess.run(
        [sys.executable, __file__, "--full"], check=True
    )  # first: a process inherits the peak memory of the one that starts it
    print(
        f"\n{device_name(torch.device('cpu'))}, numpy {np.__version__}, numba {version('numba')}, "
        f"sed_scores_eval {version('sed_scores_eval')}\n"
    )
    print(
        "| | clips x classes | rounds | sed_scores_eval s | exact s | ratio | largest difference "
        "|\n|---|---|---:|---:|---:|---:|---:|",
        flush=True,
    )
    for sizes, parameters in ((options.sizes, PSDS1), (options.psds2_sizes, PSDS2)):
        for size in sizes:
            compare(size, options.rounds, parameters)


if __name__ == "__main__":
    main()
