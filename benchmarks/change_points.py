"""Time of change points (cSEBB), against the authors' package.

pip install sebbs==1.0.2
python benchmarks/change_points.py [--scenes 200] [--classes 16] [--seconds 10] [--rounds 5]

Both take turns in one process on one thread, from scores in the form that each takes to boxes. Time is CPU time of the
process; a ratio is the median over rounds. Boxes must be the same, to 1e-4. Scores are sigmoids of a slow random walk
with noise, 25 frames a second. The grid is that of the paper: 18 candidates, which the package is given one after the
other.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numba
import numpy as np
from sebbs.csebbs import CSEBBsPredictor
from sed_scores_eval.base_modules.scores import create_score_dataframe

from efficient_sed.postprocessing.change_points import Boxes, ChangePoints

HOP_S = 0.04


def random_scores(num_frames: int, num_classes: int, seed: int) -> np.ndarray:
    """Sigmoids of a slow random walk with noise, shape (frames, classes)."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((num_frames, num_classes)) / 5, axis=0)
    return np.asarray(1 / (1 + np.exp(4 - 6 * np.sin(walk) - rng.standard_normal(walk.shape) / 2)))


def is_equal(ours: list[Boxes], theirs: dict[str, list[Any]], labels: list[str]) -> bool:
    """Whether both have the same boxes."""
    for scene, boxes in enumerate(ours):
        expected = sorted(
            (labels.index(label), *rest) for *rest, label in ((b[0], b[1], b[3], b[2]) for b in theirs[str(scene)])
        )
        if not np.allclose(np.stack(boxes, 1), np.array(expected), rtol=1e-4, atol=1e-4):
            return False
    return True


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Milliseconds of ours and theirs, and how many times as long theirs takes; the first round warms up."""
    seconds: list[tuple[float, ...]] = []
    for _ in range(rounds + 1):
        pair = []
        for side in (ours, theirs):
            start = time.process_time()
            side()
            pair.append(time.process_time() - start)
        seconds.append(tuple(pair))
    mine, other = zip(*seconds[1:], strict=True)
    return (
        1e3 * statistics.median(mine),
        1e3 * statistics.median(other),
        statistics.median(b / a for a, b in seconds[1:]),
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    num_frames = round(options.seconds / HOP_S)
    labels = [f"class {column:03}" for column in range(options.classes)]
    scores = [random_scores(num_frames, options.classes, scene) for scene in range(options.scenes)]
    tables = {
        str(scene): create_score_dataframe(table, np.arange(num_frames + 1) * HOP_S, labels)
        for scene, table in enumerate(scores)
    }
    grid = ChangePoints.grid(HOP_S)

    def ours(method: ChangePoints) -> list[Boxes]:
        return [method.boxes(table, HOP_S) for table in scores]

    def theirs(method: ChangePoints) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = CSEBBsPredictor(
            step_filter_length=method.step_s,
            merge_threshold_abs=method.absolute,
            merge_threshold_rel=method.relative,
            sound_classes=labels,
        ).predict(tables)
        return found

    print(f"numpy {np.__version__}, numba {numba.__version__}, sebbs {version('sebbs')}; ", end="")
    print(f"{options.scenes} scenes of {options.seconds:g} s x {options.classes} classes\n")
    print("| step | ours ms | sebbs ms | ratio | boxes |")
    print("|---|---:|---:|---:|---|")
    for method in (grid[0], grid[-1]):
        if not is_equal(ours(method), theirs(method), labels):
            raise SystemExit(f"{method}: the boxes differ")
        mine, other, ratio = compare(functools.partial(ours, method), functools.partial(theirs, method), options.rounds)
        limits = f"absolute {method.absolute:g}, relative {method.relative:g}"
        count = sum(len(boxes.column) for boxes in ours(method))
        print(
            f"| step {method.step_s:g} s, {limits} | {mine:.0f} | {other:.0f} | {ratio:.0f} | {count}, same |",
            flush=True,
        )


if __name__ == "__main__":
    main()
