"""Seconds from typing a command to its end, each in a fresh process, against another tree of this project.

python benchmarks/startup.py [--before DIR] [--parts look detect sweep] [--rounds 5]

look: commands that show something. detect: events in one second of noise, by PyTorch and by exported models. sweep: a
finished sweep of two models on the 660 synthetic scenes, typed again; it is trained first, for an epoch.

Both trees take turns; a row has the medians of wall and CPU seconds and of the ratio of CPU seconds, after a round that
warms up caches. Wall seconds mean nothing while other programs run.
The default detector has random weights, under the keys of the released file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from efficient_sed.machine.environment import device_name
from efficient_sed.models.weights.cards import DEFAULT_DETECTOR, SYNTHETIC_DETECTOR, get_card

HERE = Path(__file__).resolve().parents[1]
LAYOUT = HERE / "tests" / "parity" / "fmn10+tf-256.npz"
SWEEP = (
    "sweep experiment=finetune backbone=fmn04 seq=tf,gru seq.hidden=64 train.epochs=1 train.min_steps_per_epoch=0 "
    "data.clip_seconds=5 benchmark.seconds=1 benchmark.modes=eager benchmark.repeats=3 benchmark.batches=[1]"
)
COMMANDS = {
    "look": ("--help", "models", f"models {DEFAULT_DETECTOR}", "plot --published"),
    "detect": (
        f"detect one.wav --model {DEFAULT_DETECTOR}",
        f"detect one.wav --model {SYNTHETIC_DETECTOR}",
        "detect one.wav --model default.onnx",
        "detect one.wav --model synthetic.onnx",
        "listen one.wav --model synthetic.onnx",
    ),
    "sweep": (SWEEP,),
}


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="the other tree")
    parser.add_argument("--parts", nargs="+", choices=COMMANDS, default=["look", "detect"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    trees = {"now": HERE} | ({"before": options.before.resolve()} if options.before else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "detect" in options.parts:
            write_inputs(folder)
        if "sweep" in options.parts:
            run(HERE, folder, SWEEP)
        print(f"{device_name(torch.device('cpu'))}, torch {torch.__version__}, {torch.get_num_threads()} threads")
        heads = [f"{side} {unit}" for side in trees for unit in ("s", "CPU s")]
        print(f"| command | {' | '.join(heads)} | ratio |\n|---|{'---:|' * (len(heads) + 1)}")
        for part in options.parts:
            for command in COMMANDS[part]:
                print_row(command, trees, folder, options.rounds)


def write_inputs(folder: Path) -> None:
    """A second of noise, the default detector in the folder of weights, and both detectors exported."""
    soundfile.write(folder / "one.wav", 0.1 * np.random.default_rng(0).normal(size=16_000), 16_000)
    generator = torch.Generator().manual_seed(0)
    layout = json.loads(str(np.load(LAYOUT)["layout"]))
    state = {
        key: torch.zeros((), dtype=torch.int64)
        if key.endswith("num_batches_tracked")
        else 0.05 * torch.randn(shape, generator=generator).abs()
        for key, shape in layout.items()
    }
    torch.save(state, folder / get_card(DEFAULT_DETECTOR).file)
    for model, output in ((DEFAULT_DETECTOR, "default.onnx"), (SYNTHETIC_DETECTOR, "synthetic.onnx")):
        run(HERE, folder, f"export {model} --format onnx --output {output}")


def print_row(command: str, trees: Mapping[str, Path], folder: Path, rounds: int) -> None:
    """Time a command in all trees, in turn."""
    seconds: dict[str, list[tuple[float, float]]] = {side: [] for side in trees}
    for _ in range(rounds + 1):
        for side, tree in trees.items():
            seconds[side].append(run(tree, folder, command))
    kept = {side: own[1:] for side, own in seconds.items()}
    first, last = next(iter(kept.values())), list(kept.values())[-1]
    ratio = statistics.median(before / after for (_, after), (_, before) in zip(first, last, strict=True))
    cells = " | ".join(f"{statistics.median(each):.2f}" for own in kept.values() for each in zip(*own, strict=True))
    print(f"| `{shorten(command)}` | {cells} | {ratio:.2f} |", flush=True)


def shorten(command: str, most: int = 60) -> str:
    """A command as a table has room for it."""
    return command if len(command) <= most else f"{command[:most].rsplit(' ', 1)[0]} …"


def run(tree: Path, folder: Path, command: str) -> tuple[float, float]:
    """Run a command of a tree to its end; returns wall and CPU seconds."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "EFFICIENT_SED_HOME": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each start would compile the package again
    words: Sequence[str] = [sys.executable, "-m", "efficient_sed", *shlex.split(command)]
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime - used.ru_utime + after.ru_stime - used.ru_stime


if __name__ == "__main__":
    main()
