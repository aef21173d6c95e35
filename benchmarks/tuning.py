"""Time and memory of choosing post-processing on validation scores.

python benchmarks/tuning.py [--clips 200] [--classes 16] [--seconds 10] [--methods median]

Scores are sigmoids of a random walk with noise, 25 frames a second, raised where one of four events a clip is. Time is
CPU time of one process on one thread, from scores in memory to parameters, gains and their intervals; memory is what
the process grows by at its peak. A grid of `median` has 20 windows, one of `change_points` 18 candidates.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.events import Event
from efficient_sed.tuning.clips import ScoredClip, ScoredClips
from efficient_sed.tuning.tune import tune

GRID = FrameGrid()
EVENTS = 4
"""In a clip, each of another class."""


def random_clips(num_clips: int, num_classes: int, seconds: float, seed: int = 0) -> ScoredClips:
    """Clips with scores (frames, classes) and ground truth."""
    rng, num_frames = np.random.default_rng(seed), round(seconds / GRID.hop_s)
    classes = tuple(f"class {column:03}" for column in range(num_classes))
    clips = []
    for number in range(num_clips):
        shape = num_frames, num_classes
        walk = np.cumsum(rng.standard_normal(shape, np.float32) / 2, axis=0)
        logits = walk - walk.mean(axis=0) - 4 + 0.3 * rng.standard_normal(shape, np.float32)
        events = []
        for column in rng.choice(num_classes, min(EVENTS, num_classes), replace=False):
            length = int(rng.integers(num_frames // 25, num_frames // 2))
            first = int(rng.integers(num_frames - length))
            logits[first : first + length, column] += 5
            onset_s, offset_s = (round(frame * GRID.hop_s, 6) for frame in (first, first + length))
            events.append(Event(onset_s, offset_s, classes[column]))
        clips.append(ScoredClip(f"clip {number:05}", 1 / (1 + np.exp(-logits)), events, seconds))
    return ScoredClips(classes, GRID, clips)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--methods", nargs="+", default=["median"], help="candidates for events; PSDS has median")
    options = parser.parse_args()
    config = EvaluationConfig(event_postprocessing=tuple(options.methods))
    tune(random_clips(10, 3, options.seconds), config, 9)  # compiles
    clips = random_clips(options.clips, options.classes, options.seconds)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    report = tune(clips, config, 9).report
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    held = sum(clip.scores.nbytes for clip in clips.clips) / 2**30
    print(f"{options.clips} clips x {options.classes} classes, events by {'|'.join(options.methods)}: {seconds:.1f} s")
    print(f"scores hold {held:.2f} GiB, tuning {grown:.2f} GiB more")
    for part in ("scores", "events"):
        entry = report[part]
        print(f"{entry['metric']}: {entry['untuned']:.3f} -> {entry['tuned']:.3f} with {entry['method']}")


if __name__ == "__main__":
    main()
