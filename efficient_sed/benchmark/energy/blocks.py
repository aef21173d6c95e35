"""Seconds and energy of forward passes that follow one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from efficient_sed.benchmark.clock import Key, seconds_of
from efficient_sed.benchmark.energy.recorder import EnergyRecorder

if TYPE_CHECKING:
    import torch

FROZEN = "the counter of energy did not move"


class Blocks(NamedTuple):
    """What blocks of passes that follow one another took."""

    paces: list[float]
    """Seconds of a pass in each block."""
    joules_per_pass: float | None


def time_blocks(
    runs: Mapping[Key, Callable[[], object]],
    recorder: EnergyRecorder,
    num_blocks: int,
    block_s: float,
    device: torch.device | None = None,
    first: int = 1,
) -> dict[Key, Blocks]:
    """Measure seconds and energy of blocks of passes, in turn.

    Args:
        runs: Each makes one pass.
        recorder: Of what the passes run on.
        num_blocks: Blocks of each.
        block_s: Seconds of a block: long enough for counters that are renewed every 1 to 100 ms.
        device: Waited for after each block; default None, the CPU.
        first: Passes that are timed to find how many fill a block.
    """
    passes = {key: math.ceil(block_s / seconds_of(run, device, first)) for key, run in runs.items()}
    paces: dict[Key, list[float]] = {key: [] for key in runs}
    used: dict[Key, list[float | None]] = {key: [] for key in runs}
    for _ in range(num_blocks):
        for key, run in runs.items():
            before = recorder.joules()
            paces[key].append(seconds_of(run, device, passes[key]))
            after = recorder.joules()
            used[key].append(None if before is None or after is None else after - before)
    return {key: Blocks(paces[key], _mean(used[key], passes[key], recorder)) for key in runs}


def _mean(joules: Sequence[float | None], passes: int, recorder: EnergyRecorder) -> float | None:
    """Joules of a pass; None, and the reason kept, where the counter stood still."""
    known = [value for value in joules if value is not None]
    if len(known) < len(joules):
        return None
    if sum(known) <= 0:
        recorder.missing.update(dict.fromkeys(recorder.parts, FROZEN))
        return None
    return sum(known) / (len(known) * passes)
