"""Cost of teachers: inference beside the students, and training steps with stored logits, one teacher, or all of them.

python benchmarks/teachers.py [--parts inference training] [--batch 8] [--rounds 3]

Weights are random, sounds are noise, the classes are the 447 of AudioSet Strong.

inference: from waveform to frame logits, fused, as `efficient-sed benchmark` measures; on one CPU thread, and on a GPU
    if there is one.
training: a step of experiment=audioset_strong, from waveforms to Adam, in float32. Reading clips and stored logits is
    left out, since other processes do it. The variants take turns in one process on one thread; time is CPU time of the
    process, the median over rounds after a warm-up round.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from deploy import ratios

import efficient_sed as es
from efficient_sed.benchmark.speed import measure_speed
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.data.dataset import Batch
from efficient_sed.data.labels import audioset_labels
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.experiment.compose import compose_run
from efficient_sed.machine.allocator import keep_freed_memory
from efficient_sed.machine.environment import device_name
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import SedModel
from efficient_sed.training.module import SedModule
from efficient_sed.training.optim import build_optimizer
from efficient_sed.training.train import build_model

TEACHERS = ("beats", "atst_f", "fpasst", "m2d", "asit")
STUDENTS = ("fmn04", "fmn10", "fmn10+tf-256")
CLASSES, SECONDS, GPU_BATCH = audioset_labels("strong"), 10, 64
CLIPS = AudioSetStrongConfig.OFFICIAL["train"]
PARTS = ("inference", "training")


def noise(batch: int, rate: int) -> torch.Tensor:
    """Ten seconds of noise, shape (batch, samples)."""
    return 0.1 * torch.randn(batch, SECONDS * rate, generator=torch.Generator().manual_seed(0))


def make_pass(model: SedModel) -> Callable[[], torch.Tensor]:
    """One clip from waveform to frame logits."""
    fused, waveform = es.fuse(model), noise(1, model.frontend.sample_rate)

    def run() -> torch.Tensor:
        frame_logits: torch.Tensor = fused(fused.frontend(waveform)).frame_logits
        return frame_logits

    return run


def compare_models(rounds: int) -> None:
    """Print a row for each model: from waveform to frame logits."""
    models = {name: settle_norms(es.create_model(name, classes=CLASSES)).eval() for name in (*TEACHERS, *STUDENTS)}
    with torch.inference_mode():
        found = ratios({name: make_pass(model) for name, model in models.items()}, rounds)
    has_gpu = torch.cuda.is_available()
    gpu = f"{torch.cuda.get_device_name()}, fp16, batch {GPU_BATCH}" if has_gpu else ""
    print(
        "Clips/s: one CPU thread at batch 1"
        + (f"; {gpu}" if has_gpu else "; no GPU at hand, so none was measured")
        + "\n"
    )
    print(
        "| model | parameters | GMACs of 10 s | clips/s |"
        + (" on the GPU |" if has_gpu else "")
        + "\n|---|---:|---:|---:|"
        + ("---:|" if has_gpu else "")
    )
    for name, model in models.items():
        params, macs = sum(parameter.numel() for parameter in model.parameters()), es.count_macs(model, SECONDS).total
        on_gpu = f" {gpu_clips_per_s(model):.0f} |" if has_gpu else ""
        print(f"| {name} | {params:,} | {macs / 1e9:.2f} | {1e3 / found[name][0]:.2f} |{on_gpu}", flush=True)


def gpu_clips_per_s(model: SedModel) -> float:
    """With the front end inside, at the large batch."""
    config = BenchmarkConfig(
        seconds=SECONDS, batches=(GPU_BATCH,), precision=("fp16",), modes=("fused",), with_mel=True
    )
    rows = measure_speed(model.cuda(), config)["speeds"]
    wanted = ("inside", GPU_BATCH, False)
    (clips_per_s,) = [
        float(row["clips_per_s"]) for row in rows if (row["mel"], row["batch_size"], row["autocast"]) == wanted
    ]
    model.cpu()
    return clips_per_s


def make_step(teachers: Sequence[Path], size: int) -> Callable[[], None]:
    """A step of the preset; without teachers their logits come with the batch, as those that were stored do."""
    online = ["data.pseudo_labels=null", f"train.teacher=[{','.join(map(str, teachers))}]"] if teachers else []
    smaller = [f"train.batch_size={size}", "train.accumulate=1", "train.precision=32-true", "backbone.init=null"]
    config = compose_run(["experiment=audioset_strong", "data.root=.", *smaller, *online])
    model = build_model(config, CLASSES)
    module = SedModule(model, config).train()
    optimizer, schedule = build_optimizer(model, config.train, CLIPS // size)
    waveform = noise(size, model.frontend.sample_rate)
    scores = torch.rand(
        size, len(CLASSES), model.grid.num_frames(waveform.shape[1]), generator=torch.Generator().manual_seed(0)
    )
    batch = Batch.of_strong(waveform, scores.round(), scores)
    batch_indices = itertools.count()  # the same augmentations on every side

    def step() -> None:
        loss = cast(
            torch.Tensor, module.training_step(batch, next(batch_indices))
        )  # none only where no clip could be read
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()

    return step


def compare_steps(size: int, rounds: int, folder: Path) -> None:
    """Print a row for each kind of training step."""
    files = {name: folder / f"{name}.safetensors" for name in TEACHERS}
    for name, file in files.items():
        es.save_model(es.create_model(name, classes=CLASSES), file)
    sides = {
        "stored logits": make_step([], size),
        f"{TEACHERS[0]} computes": make_step([files[TEACHERS[0]]], size),
        f"all {len(TEACHERS)} compute": make_step(list(files.values()), size),
    }
    steps = CLIPS // size
    print(
        f"\nHours an epoch on that thread, extrapolated: {CLIPS:,} clips / {size} a step = {steps:,} steps, "
        "times seconds a step / 3600\n"
    )
    print("| teacher | s a step | times stored | hours an epoch |\n|---|---:|---:|---:|")
    for side, (milliseconds, ratio) in ratios(sides, rounds).items():
        print(
            f"| {side} | {milliseconds / 1e3:.2f} | {1 / ratio:.2f} | {steps * milliseconds / 3.6e6:.1f} |", flush=True
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--batch", type=int, default=8, help="clips of a training step")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()  # as the program does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", message=r"You are trying to `self\.log\(\)`")  # no trainer drives these steps
    print(f"{device_name(torch.device('cpu'))}, torch {torch.__version__}, float32\n")
    if "inference" in options.parts:
        compare_models(options.rounds)
    if "training" in options.parts:
        with tempfile.TemporaryDirectory() as name:
            compare_steps(options.batch, options.rounds, Path(name))


if __name__ == "__main__":
    main()
