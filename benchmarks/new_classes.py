"""What a detector forgets when new classes are added to it, and what keeps it from forgetting.

python benchmarks/new_classes.py [--seed 0] [--output DIR]

Synthetic scenes of 5 s. A model learns 12 of their 16 classes on 300 scenes. It is then extended by the other 4 on 100
other scenes, in which only these are annotated. Every model is scored on the same 160 scenes, once for the old classes
and once for the new ones. The runs are those of `efficient-sed train` and `evaluate`. Finished runs are skipped.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Collection
from pathlib import Path

import torch

from efficient_sed.data.events import PARTS
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.data.sounds import SOUND_CLASSES
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.folders import run_folder
from efficient_sed.experiment.run import run_experiment
from efficient_sed.experiment.score import score_checkpoint
from efficient_sed.models.weights.checkpoint import MODEL_FILE

NUM_TRAIN, NUM_OLD, NUM_VALIDATION, NUM_TEST, SECONDS = 400, 300, 60, 160, 5.0
NEW = sorted(SOUND_CLASSES)[1::4]
OLD = sorted(set(SOUND_CLASSES) - set(NEW))
MODEL = ["data=folder", "backbone=fmn04", "seq=none", "data.clip_seconds=5", "data.median_frames=5"]
SHORT = ["experiment=own", "train.epochs=6", "evaluation.tune=none", "data.num_workers=0", "benchmark.repeats=3"]
FROZEN = ["train.is_backbone_frozen=true", "train.is_batchnorm_frozen=true"]
CONDITIONS = {
    "nothing": ["train.extend_weight=0"],
    "backbone frozen": ["train.extend_weight=0", *FROZEN],
    "initial model teaches, weight 0.5": [],
    "initial model teaches, weight 0.9": ["train.extend_weight=0.9"],
}
"""Overrides of each; the third is the default."""


def write_data(folder: Path, name: str, labels: Collection[str], scenes: slice) -> Path:
    """A folder of own recordings, annotated for some classes: some training scenes, and all others."""
    root = folder / name
    root.mkdir(parents=True, exist_ok=True)
    splits = SyntheticConfig(
        root=str(folder / "datasets"),
        num_train=NUM_TRAIN,
        num_validation=NUM_VALIDATION,
        num_test=NUM_TEST,
        scene_seconds=SECONDS,
        clip_seconds=SECONDS,
    ).load()
    if not (root / "audio").exists():
        (root / "audio").symlink_to(Path(str(splits.test[0].audio)).parents[1].resolve())
    for part in PARTS:
        rows = ["filename\tonset\toffset\tevent_label"]
        for clip in getattr(splits, part)[scenes if part == "train" else slice(None)]:
            events = [event for event in clip.events if event.label in labels]
            rows += ["\t".join(map(str, (clip.id, *event[:3]))) for event in events] or [f"{clip.id}\t\t\t"]
        (root / f"{part}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--output", type=Path, default=Path("runs_new_classes"), help="folder of runs and scenes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    common = [*SHORT, *MODEL, f"output_dir={options.output / 'runs'}", f"seed={options.seed}"]
    old = f"data.root={write_data(options.output, 'old', OLD, slice(NUM_OLD))}"
    new = f"data.root={write_data(options.output, 'new', NEW, slice(NUM_OLD, None))}"
    first = compose_run([*common, old])
    before = run_experiment(first, show_progress=False)["metrics"]["psds1_macro"]
    start = run_folder(first) / MODEL_FILE
    print("| what keeps the old classes | PSDS1, 12 old classes | PSDS1, 4 new classes |\n|---|---:|---:|")
    print(f"| (the initial model) | {before:.3f} | |", flush=True)
    extension = ["backbone.init=null", f"train.init_from={start}", "train.extend_classes=true"]
    for name, overrides in CONDITIONS.items():
        config = compose_run([*common, new, *extension, *overrides])
        result = run_experiment(config, show_progress=False)
        kept = score_checkpoint(str(run_folder(config) / MODEL_FILE), compose_run([*common, old]), "test", set())
        print(f"| {name} | {kept['psds1_macro']:.3f} | {result['metrics']['psds1_macro']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
