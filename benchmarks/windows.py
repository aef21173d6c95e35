"""Scores of the shipped detector on long synthetic recordings, by the overlap of its windows.

python benchmarks/windows.py [--overlaps 0 0.1 0.2 0.5] [--recordings 60] [--seconds 60]

The detector was trained on clips of 10 s, so windows are 10 s long. An overlap of 0 is the textbook's.
"""

from __future__ import annotations

import argparse
import tempfile

import torch

from efficient_sed.data import windows
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.keys import key_of
from efficient_sed.experiment.score import score_checkpoint

DETECTOR = "fmn04+tf-128_synthetic"
SCORES = ("psds1_macro", "event_f1", "frame_f1", "segment_pauroc")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overlaps", nargs="+", type=float, default=[0, 0.05, 0.1, 0.2, 0.3, 0.5])
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| overlap | {' | '.join(SCORES)} | 95 % of PSDS1 |\n|---:|{'---:|' * (len(SCORES) + 1)}")
    with tempfile.TemporaryDirectory() as folder:
        sizes = [
            "data.num_train=1",
            "data.num_validation=1",
            f"data.num_test={options.recordings}",
            f"data.scene_seconds={options.seconds}",
        ]
        overrides = ["data=synthetic", f"data.root={folder}", "data.seed=5", "data.num_workers=0", *sizes]
        for overlap in options.overlaps:
            windows.OVERLAP = overlap
            metrics = score_checkpoint(
                DETECTOR, compose_run(overrides), "test", {key_of(override) for override in overrides}
            )
            interval = "-".join(f"{value:.3f}" for value in metrics["psds1_macro_ci95"])
            print(
                f"| {overlap:g} | {' | '.join(f'{metrics[score]:.3f}' for score in SCORES)} | {interval} |", flush=True
            )


if __name__ == "__main__":
    main()
