"""Time of the best event F1 of each class over all thresholds against sed_scores_eval's collar_based.best_fscore.

python benchmarks/event_scores.py [--sizes CLIPSxCLASSES …] [--rounds N]

Both take turns in one process on one thread, on the scores of `psds.py`.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from psds import DURATION_S, FRAMES, HOP_S, Clip, make_clips, timed

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.machine.environment import device_name
from efficient_sed.metrics.event.sweep import EventCurves


def own_scorer(clips: list[Clip], classes: list[str]) -> Callable[[], float]:
    """Mean over classes by this project."""
    events = {clip: [Event(*event) for event in own] for clip, _, own in clips}

    def score() -> float:
        curves = EventCurves(classes, FrameGrid())
        for clip, scores, _ in clips:
            curves.add(clip, scores, events[clip], DURATION_S)
        return curves.best().macro_f1

    return score


def library_scorer(clips: list[Clip], classes: list[str]) -> Callable[[], float]:
    """The same by sed_scores_eval in one process; its tables are built beforehand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sed_scores_eval import collar_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

    borders = np.round(np.arange(FRAMES + 1) * HOP_S, 6)
    present = [label for label in classes if any(event[2] == label for _, _, events in clips for event in events)]
    columns = [classes.index(label) for label in present]
    tables = {clip: create_score_dataframe(scores[:, columns], borders, present) for clip, scores, _ in clips}
    truth = {
        clip: [tuple(event[:3]) for event in merge_overlapping(Event(*event) for event in events)]
        for clip, _, events in clips
    }

    def score() -> float:
        f1 = collar_based.best_fscore(
            tables, truth, onset_collar=0.2, offset_collar=0.2, offset_collar_rate=0.2, time_decimals=18, num_jobs=1
        )[0]
        return float(f1["macro_average"])

    return score


def compare(num_clips: int, num_classes: int, rounds: int) -> None:
    """One row of the table."""
    classes = [f"class{index:03}" for index in range(num_classes)]
    clips = list(make_clips(num_clips, classes))
    ours, library = own_scorer(clips, classes), library_scorer(clips, classes)
    own_s, library_s, difference = [], [], 0.0
    for _ in range(rounds):
        own, seconds = timed(ours)
        own_s.append(seconds)
        other, seconds = timed(library)
        library_s.append(seconds)
        difference = max(difference, abs(own - other))
    ratio = statistics.median(slow / fast for slow, fast in zip(library_s, own_s, strict=True))
    print(
        f"| {num_clips} x {num_classes} | {rounds} | {statistics.median(library_s):.2f} | "
        f"{statistics.median(own_s):.3f} | {ratio:.0f} | {difference:.0e} |",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=["200x16", "1168x10"], help="clips x classes")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm = [f"class{index}" for index in range(3)]
    own_scorer(list(make_clips(3, warm)), warm)()  # compiles
    print(
        f"\n{device_name(torch.device('cpu'))}, numpy {np.__version__}, numba {version('numba')}, "
        f"sed_scores_eval {version('sed_scores_eval')}\n"
    )
    print(
        "| clips x classes | rounds | sed_scores_eval s | exact s | ratio | largest difference |\n" + "|---" * 6 + "|"
    )
    for size in options.sizes:
        num_clips, num_classes = map(int, size.split("x"))
        compare(num_clips, num_classes, options.rounds)


if __name__ == "__main__":
    main()
