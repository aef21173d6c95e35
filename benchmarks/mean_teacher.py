"""What a mean teacher gains where a tenth of the recordings is labelled, over several seeds.

python benchmarks/mean_teacher.py [--seeds 0,1,2] [--output DIR]

400 synthetic scenes of 5 s, of which 40 keep their events; the other 360 are recordings without labels. All conditions
make as many steps with as many labelled clips each. A moving average of the weights gains by itself, so it is a
condition of its own. The runs are those of `efficient-sed train`, whose commands are printed. Finished runs are
skipped, so that seeds can run in separate processes and a last call prints the table.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
from pathlib import Path

import torch
from gains import spread

from efficient_sed.data.events import PARTS
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.run import run_experiment

NUM_TRAIN, NUM_LABELLED, NUM_SCORED = 400, 40, 60
SECONDS = 5.0
MODEL = ["backbone=fmn04", "seq=gru", "seq.hidden=64", "data.clip_seconds=5", "data.num_workers=0"]
SHORT = ["train.epochs=10", "train.validate_every=5", "benchmark.repeats=3"]  # 250 steps
ALONE = ["experiment=own", "classifier.pooling=attention", "train.batch_size=4", "data.unlabelled=null"]
SHARES = ["train.batch_size=8", "train.batch_clips={strong: 4, unlabelled: 4}"]
MIXES = ["train.augment.mixup_probability=0.5"]
CONDITIONS = {
    "labels alone": [*ALONE, *MIXES],
    "labels alone, averaged": [*ALONE, *MIXES, "train.ema_decay=0.99"],
    "mean teacher": ["experiment=mean_teacher", *SHARES, "train.ramp_up_epochs=5"],
}
"""Overrides of each; the first is what the others are compared with."""


def write_data(folder: Path) -> Path:
    """Scenes as a folder of own recordings, most of them without labels; made once."""
    root = folder / "few_labels"
    if (root / "test.tsv").is_file():  # written last
        return root
    scenes = SyntheticConfig(
        root=str(folder / "datasets"),
        num_train=NUM_TRAIN,
        num_validation=NUM_SCORED,
        num_test=NUM_SCORED,
        scene_seconds=SECONDS,
        clip_seconds=SECONDS,
    ).load()
    for part in PARTS:
        rows = ["filename\tonset\toffset\tevent_label"]
        for number, clip in enumerate(getattr(scenes, part)):
            is_labelled = part != "train" or number < NUM_LABELLED
            path = root / ("audio" if is_labelled else "unlabelled") / part / f"{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(clip.audio), path)
            if is_labelled:
                name = f"{part}/{path.name}"
                rows += ["\t".join(map(str, (name, *event[:3]))) for event in clip.events] or [f"{name}\t\t\t"]
        (root / f"{part}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=Path("runs_mean_teacher"), help="folder of runs and scenes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    data = ["data=folder", f"data.root={write_data(options.output)}"]
    scores: dict[str, list[float]] = {}
    for name, overrides in CONDITIONS.items():
        scores[name] = []
        for seed in options.seeds.split(","):
            words = [*overrides, *MODEL, *SHORT, *data, f"output_dir={options.output / 'runs'}", f"seed={seed}"]
            print(shlex.join(["efficient-sed", "train", *words]))
            result = run_experiment(compose_run(words), show_progress=False)
            scores[name].append(result["metrics"]["psds1_macro"])
            epoch_s = result["training"]["seconds_per_epoch"]
            print(f"{name}, seed {seed}: PSDS1 {scores[name][-1]:.3f}, {epoch_s} s an epoch", flush=True)
    baseline = next(iter(scores.values()))
    print("\n| condition | PSDS1, mean ± sd | each seed | gain, mean ± sd |\n|---|---:|---|---:|")
    for name, values in scores.items():
        gains = [value - base for value, base in zip(values, baseline, strict=True)]
        print(f"| {name} | {spread(values)} | {', '.join(f'{value:.3f}' for value in values)} | {spread(gains)} |")


if __name__ == "__main__":
    main()
