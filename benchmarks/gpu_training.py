"""Training of `gpu.py`: steps in turn with a plain one, and the loader against the fastest of them."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from gpu_section import BLOCK_S, BLOCKS, Section, joules, ratio
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from training import NUM_CLASSES, SECONDS, write_audioset

from efficient_sed.benchmark.clock import summarise
from efficient_sed.benchmark.speed import time_modes
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.storage.packing import pack_data
from efficient_sed.experiment.compose import compose_run
from efficient_sed.machine.cores import count_cores
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.factory import create_model

REPEATS = 5  # single steps
LOADED_CLIPS, LOADER_S = 32, 3.0  # files, and seconds of a row


@dataclasses.dataclass(frozen=True)
class Step:
    """How a training step differs from a plain one: NCHW, torch's default Adam, copies that are waited for."""

    is_channels_last: bool = False
    has_fused_adam: bool = False
    is_pinned: bool = False
    is_compiled: bool = False

    def __str__(self) -> str:
        words = ("channels_last", "fused Adam", "pinned copies", "compiled")
        chosen = [word for word, is_on in zip(words, dataclasses.astuple(self), strict=True) if is_on]
        return ", ".join(chosen) or "plain"


STEPS = (Step(is_channels_last=True), Step(has_fused_adam=True), Step(is_pinned=True), Step(True, True, True))
COMPILED = (Step(True, True, True, True), Step(is_compiled=True))


def create_step(name: str, batch: int, step: Step, device: torch.device) -> Callable[[], None]:
    """A training step on waveforms that lie on the CPU, where a loader leaves them."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=NUM_CLASSES).train().to(device)
    memory_format = torch.channels_last if step.is_channels_last else torch.contiguous_format
    model.backbone.to(memory_format=memory_format)  # type: ignore[call-overload]
    forward: Callable[[Tensor], SedOutput] = torch.compile(model) if step.is_compiled else model
    optimizer = torch.optim.Adam(model.parameters(), fused=step.has_fused_adam or None)
    waveform = torch.randn(batch, SECONDS * model.frontend.sample_rate)
    targets = torch.rand(batch, NUM_CLASSES, model.grid.num_frames(waveform.shape[1])).round()
    if step.is_pinned and device.type == "cuda":
        waveform, targets = waveform.pin_memory(), targets.pin_memory()

    def run() -> None:
        x, wanted = (value.to(device, non_blocking=step.is_pinned) for value in (waveform, targets))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = binary_cross_entropy_with_logits(forward(model.frontend(x)).frame_logits, wanted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def measure_step(section: Section, name: str, batch: int, step: Step) -> None:
    """A row of a training step in turn with the plain one."""
    machine = section.machine
    if step.is_compiled:
        torch.compiler.reset()  # the limit of graphs counts those of all models of this process
    runs = {each: create_step(name, batch, each, machine.device) for each in (Step(), step)}
    times = time_modes(runs, REPEATS, machine.sensors, BLOCKS, BLOCK_S)
    pace = summarise(times[step].latencies, batch, times[step].paces)
    machine.training_clips_per_s = max(pace.clips_per_s, machine.training_clips_per_s or 0)
    plain_ms = summarise(times[Step()].latencies).latency_ms
    section.row(
        f"{step}; {name}, batch {batch}", f"{pace.clips_per_s:.1f}", ratio(times[Step()], times[step]),
        f"{pace.latency_ms:.1f}", f"{plain_ms:.1f}", joules(times[step], batch),
    )  # fmt: skip


def run_training(section: Section, steps: Sequence[Step], name: str, batch: int) -> None:
    """Rows of training steps."""
    for step in steps:
        section.measure(partial(measure_step, section, name, batch, step), str(step))


def measure_loader(section: Section, source: Sequence[str], workers: int, batch: int) -> None:
    """A row of clips a second that the training's own loader gives, without its first batch."""
    machine = section.machine
    accelerator = "gpu" if machine.device.type == "cuda" else "cpu"
    options = [f"data.num_workers={workers}", f"train.batch_size={batch}", "train.draws_per_epoch=1000000"]
    run = compose_run([*source, *options, f"train.accelerator={accelerator}"])
    module = SedDataModule(run, run.data.load(), create_model("fmn04", NUM_CLASSES).grid)
    batches, clips = iter(module.train_dataloader()), 0
    next(batches)
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < LOADER_S:
        next(batches)
        clips += batch
    rate, wanted = clips / passed, machine.training_clips_per_s
    section.row(source[0], str(workers), f"{rate:.0f}", "-" if wanted is None else f"{rate / wanted:.2f}")


def run_loader(section: Section, batch: int) -> None:
    """Rows of compressed clips and of a packed copy, by few workers and by as many as there are cores."""
    workers = sorted({2, max(2, count_cores() - 1)}) if section.machine.device.type == "cuda" else [0]
    with tempfile.TemporaryDirectory() as folder:
        write_audioset(Path(folder), LOADED_CLIPS)
        packed, compressed = Path(folder) / "packed.h5", ["data=audioset_strong", f"data.root={folder}"]
        pack_data(compose_run(compressed).data, packed)
        for source in (compressed, ["data=packed", f"data.root={packed}"]):
            for count in workers:
                section.measure(partial(measure_loader, section, source, count, batch), source[0], str(count))
