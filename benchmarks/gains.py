"""Gains from a teacher and from a pretrained model on few clips, over several seeds.

python benchmarks/gains.py {distillation,finetuning} [--seeds 0,1,2] [--output DIR]

The runs are those of `efficient-sed train`, whose commands are printed. Finished runs are skipped, so that seeds can
run in separate processes and a last call prints the table. The teacher and the pretrained model were trained on other
synthetic scenes than those of these runs.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import statistics
from pathlib import Path

import torch

from efficient_sed.cli.main import main as command_line
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.run import run_experiment

TEACHER = "fmn04+tf-128_synthetic"  # trained with data.stream=pretraining data.seed=1
SCENES = ["data.num_validation=20", "data.scene_seconds=5", "data.clip_seconds=5", "data.num_workers=0"]
SHORT = [
    "train.batch_size=8",
    "train.min_steps_per_epoch=0",
    "train.select=last",
    "train.warmup_steps=20",
    "benchmark.repeats=3",
]
FEW = {"distillation": "data.num_train=40", "finetuning": "data.num_train=60"}
STUDENT = [
    "experiment=finetune",
    "backbone=fmn04",
    "seq=gru",
    "seq.hidden=64",
    "train.lr_head=3e-3",
    "train.epochs=80",
    "train.validate_every=80",
]
TUNED = ["backbone=fmn04", "seq=tf", "seq.hidden=128", "train.epochs=8", "train.validate_every=8"]


def conditions(study: str, pseudo_labels: Path) -> dict[str, list[str]]:
    """Overrides of each condition; the first is what the others are compared with."""
    if study == "distillation":
        return {
            "labels alone": STUDENT,
            "stored teacher": [*STUDENT, f"data.pseudo_labels={pseudo_labels}"],
            "online teacher": [*STUDENT, f"train.teacher={TEACHER}"],
        }
    return {
        "from scratch": ["experiment=scratch", *TUNED],
        "trained backbone": ["experiment=finetune", *TUNED, f"backbone.init={TEACHER}"],
        "trained model": ["experiment=finetune", *TUNED, "backbone.init=null", f"train.init_from={TEACHER}"],
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=FEW)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--output", type=Path, default=Path("runs_gains"), help="folder of runs, scenes and pseudo-labels"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    data = [FEW[options.study], *SCENES, f"data.root={options.output / 'datasets'}"]
    pseudo_labels = options.output / "teacher.h5"
    commands = []
    if options.study == "distillation":
        commands.append(["pseudo-label", "--teacher", TEACHER, str(pseudo_labels), "data=synthetic", *data])
        if command_line(commands[0]):
            raise SystemExit("no pseudo-labels, no study")
    scores: dict[str, list[float]] = {}
    for name, overrides in conditions(options.study, pseudo_labels).items():
        scores[name] = []
        for seed in options.seeds.split(","):
            run = [*overrides, *SHORT, *data, f"output_dir={options.output / 'runs'}", f"seed={seed}"]
            commands.append(["train", *run])
            scores[name].append(run_experiment(compose_run(run), show_progress=False)["metrics"]["psds1_macro"])
            print(f"{name}, seed {seed}: {scores[name][-1]:.3f}", flush=True)
    print("\n" + "\n".join(shlex.join(["efficient-sed", *command]) for command in commands) + "\n")
    baseline = next(iter(scores.values()))
    print("| condition | PSDS1, mean ± sd | each seed | gain, mean ± sd |\n|---|---:|---|---:|")
    for name, values in scores.items():
        gains = [value - base for value, base in zip(values, baseline, strict=True)]
        print(f"| {name} | {spread(values)} | {', '.join(f'{value:.3f}' for value in values)} | {spread(gains)} |")


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else float('nan'):.3f}"


if __name__ == "__main__":
    main()
