"""The energy of a training."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from efficient_sed.benchmark.energy.recorder import EnergyRecorder, total

UNKNOWN = "what was trained before an interruption was not measured"


class EnergyUse(pl.Callback):
    """Measures the whole fit: steps, validations, loading of data, on the CPU and on the GPUs that take part.

    The first process measures for all. What an interrupted training used up to its last checkpoint is added.
    """

    def __init__(self) -> None:
        self._recorder = EnergyRecorder([])
        self._before: dict[str, float | None] | None = None
        self._used: dict[str, float | None] = {}
        self._method_before: str | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to read the meters."""
        if trainer.is_global_zero:
            kind = trainer.strategy.root_device.type
            gpus = [] if kind == "cpu" else [torch.device(kind, index) for index in trainer.device_ids]
            self._recorder = EnergyRecorder.of_machine(gpus).__enter__()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notice a checkpoint that says nothing of energy, such as one of an older version."""
        if self._before is None:
            self._before = dict.fromkeys(self._recorder.parts, 0.0 if trainer.global_step == 0 else None)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep what was used, and read no further."""
        self._used = self._joules()
        self._recorder.__exit__()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Read no further."""
        self._recorder.__exit__()

    def _joules(self) -> dict[str, float | None]:
        """Of each part, with what was used before an interruption, by a GPU that takes part no longer, too."""
        now, before = self._recorder.joules_by_part(), self._before or {}
        parts = dict.fromkeys([*now, *before])
        return {part: total({"before": before.get(part), "now": now.get(part, 0.0)}) for part in parts}

    def facts(self) -> dict[str, Any]:
        """What a result says of it."""
        return self._recorder.facts(self._used, UNKNOWN) | {"energy_method": self._method()}

    def state_dict(self) -> dict[str, Any]:
        """Joules of each part, for a resume."""
        return {"joules": self._joules(), "method": self._method()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the joules before an interruption."""
        self._before = dict(state_dict["joules"])
        self._method_before = state_dict.get("method")

    def _method(self) -> str | None:
        """What was read, in the order of the starts; None if nothing is read now."""
        before, now = self._method_before, self._recorder.method
        if before is None or now is None:
            return now
        return before if before.split(", then ")[-1] == now else f"{before}, then {now}"
