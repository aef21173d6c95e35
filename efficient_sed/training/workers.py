"""How many processes decode audio for a training, by the time that decoding and training take here."""

from __future__ import annotations

import copy
import itertools
import math
import statistics
import time
from collections.abc import Callable

import torch

from efficient_sed.data.dataset import TrainingClips
from efficient_sed.data.samplers import Draw
from efficient_sed.machine.cores import count_cores
from efficient_sed.models.sed import SedModel
from efficient_sed.training.frozen_stages import FrozenStages

CLIPS, CALLS = 4, 3
NEGLIGIBLE = 0.05
"""Share of a step up to which decoding may take place in the training process itself."""
MARGIN = 1.5
MAX_WORKERS = 16


def choose_workers(
    dataset: TrainingClips, model: SedModel, device: torch.device, num_processes: int = 1, frozen_stages: int | None = 0
) -> int:
    """Number of processes that decode: none where that takes next to no time, else enough for the training's pace.

    A few clips are read, which changes no random state and no order. On a CPU they are compared with forward and
    backward passes of a copy of the model; a GPU is taken to be faster than any number of processes.

    Args:
        dataset: What is trained on.
        model: On the CPU.
        device: Of the training.
        num_processes: That train.
        frozen_stages: Of the backbone, which have no backward pass; None for all.
    """
    spare = min(count_cores() // num_processes - 1, MAX_WORKERS)
    if spare < 1 or device.type != "cpu":
        return max(0, spare)
    indices = itertools.cycle(range(len(dataset)))
    read_s = _seconds(lambda: dataset[Draw(0, next(indices))])
    waveform = torch.zeros(CLIPS, round(dataset.clip_seconds * dataset.grid.sample_rate))
    with torch.random.fork_rng(devices=[]):
        step_s = _seconds(_training_pass(model, waveform, frozen_stages)) / CLIPS
    return workers_for(read_s, step_s, spare)


def workers_for(read_s: float, step_s: float, most: int) -> int:
    """Processes that keep pace with a training.

    Args:
        read_s: Seconds in which one process decodes a clip.
        step_s: Seconds in which the training takes one.
        most: Processes that there is room for.
    """
    share = read_s / max(step_s, 1e-9)
    return 0 if share < NEGLIGIBLE else min(most, math.ceil(MARGIN * share))


def _seconds(run: Callable[[], object]) -> float:
    """Median of a few calls after a first one, which loads and compiles."""
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _training_pass(model: SedModel, waveform: torch.Tensor, frozen_stages: int | None) -> Callable[[], None]:
    model = copy.deepcopy(model).train()
    frozen = FrozenStages(model.backbone, frozen_stages)
    frozen.eval()
    frozen.start()

    def run() -> None:
        torch.autograd.backward(model(model.frontend(waveform)).frame_logits.sum())

    return run
