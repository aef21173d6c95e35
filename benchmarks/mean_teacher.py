"""What a mean teacher gains where a tenth of the recordings is labelled, over several seeds.

python benchmarks/mean_teacher.py [--seeds 0,1,2] [--output DIR] [key=value …]

1,000 synthetic scenes of 5 s, of which 100 keep their events; the other 900 are recordings without labels. The backbone
knows such sounds and is frozen, so that a training of 1,600 steps converges. Both conditions make as many steps with as
many labelled clips each, augmented alike. The runs are those of `efficient-sed train`, whose commands are printed.
Finished runs are skipped, so that seeds can run in separate processes and a last call prints the table.
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

NUM_TRAIN, NUM_LABELLED, NUM_SCORED = 1000, 100, 200
SECONDS = 5.0
MODEL = ["backbone=fmn04", "seq=gru", "seq.hidden=64", "data.clip_seconds=5", "data.num_workers=0"]
FROZEN = ["train.is_backbone_frozen=true", "train.is_batchnorm_frozen=true", "train.lr_head=2e-3"]
SHORT = ["train.epochs=64", "train.validate_every=16", "benchmark.repeats=3"]  # 1,600 steps
MIXES = [
    "train.augment.mixup_probability=0.5",
    "train.augment.wave_mix_probability=0",
    "train.augment.mel_jitter=false",
]
SPECTRUM = ["train.augment.filter_probability=1", "train.augment.spec_mask_bins=24"]
ALONE = ["experiment=own", "classifier.pooling=attention", "train.batch_size=4", "data.unlabelled=null"]
TEACHER = [
    "experiment=mean_teacher",
    "train.batch_size=16",
    "train.batch_clips={strong: 4, unlabelled: 12}",
    "train.ramp_up_epochs=16",
    "train.mean_teacher_decay=0.99",
    "train.consistency_weight=1",
]
KEYS = ("psds1_macro", "psds1_macro_tuned")
CONDITIONS = {"labels alone": ALONE, "mean teacher": TEACHER}
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
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of every run")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=Path("runs_mean_teacher"), help="folder of runs and scenes")
    options = parser.parse_intermixed_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    data = ["data=folder", f"data.root={write_data(options.output)}"]
    common = [*MODEL, *FROZEN, *SHORT, *MIXES, *SPECTRUM, *data, *options.overrides]
    scores: dict[str, dict[str, list[float]]] = {}
    for name, overrides in CONDITIONS.items():
        scores[name] = {key: [] for key in KEYS}
        for seed in options.seeds.split(","):
            words = [*overrides, *common, f"output_dir={options.output / 'runs'}", f"seed={seed}"]
            print(shlex.join(["efficient-sed", "train", *words]))
            result = run_experiment(compose_run(words), show_progress=False)
            for key, values in scores[name].items():
                values.append(result["metrics"][key])
            found = ", ".join(f"{key} {values[-1]:.3f}" for key, values in scores[name].items())
            print(f"{name}, seed {seed}: {found}, {result['training']['seconds_per_epoch']} s an epoch", flush=True)
    print("\n| condition | PSDS1, mean ± sd | tuned | each seed, tuned | gain, tuned |\n|---|---:|---:|---|---:|")
    baseline = next(iter(scores.values()))[KEYS[1]]
    for name, (plain, tuned) in ((name, found.values()) for name, found in scores.items()):
        gains = [value - base for value, base in zip(tuned, baseline, strict=True)]
        each = ", ".join(f"{value:.3f}" for value in tuned)
        print(f"| {name} | {spread(plain)} | {spread(tuned)} | {each} | {spread(gains)} |")


if __name__ == "__main__":
    main()
