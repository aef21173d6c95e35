"""The share of training that is spent waiting for data."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl

logger = logging.getLogger(__name__)
MUCH = 0.1


class IdleShare(pl.Callback):
    """Times the gaps between training steps, without validation and the first batch of an epoch.

    It warns once, after an epoch in which training waited for much of the time. On a GPU a step is the time in which it
    is launched, so that the share is the loader's only where the loader is the bottleneck.
    """

    def __init__(self) -> None:
        self._idle = self._total = 0.0
        self._is_warned = False
        self._ended_at: float | None = None

    @property
    def idle_share(self) -> float | None:
        """Mean over all timed steps, 0 to 1; None before the first."""
        return round(self._idle / self._total, 4) if self._total else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the gap between epochs."""
        self._ended_at = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the gap in which validation runs."""
        self._ended_at = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note how long the batch was waited for."""
        self._started_at = time.perf_counter()
        self._waited = None if self._ended_at is None else self._started_at - self._ended_at

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the wait and the step."""
        self._ended_at = time.perf_counter()
        if self._waited is not None:
            self._idle += self._waited
            self._total += self._waited + self._ended_at - self._started_at

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn of much waiting, and log the share."""
        share = self.idle_share
        if share is None:
            return
        pl_module.log("train/idle_share", share)
        if share > MUCH and not self._is_warned and trainer.is_global_zero:
            self._is_warned = True
            words = (
                "training waits for data in %.0f %% of the time; a larger data.num_workers=N, or data that are packed "
            )
            logger.warning(words + "(efficient-sed data pack), may help", 100 * share)

    def state_dict(self) -> dict[str, Any]:
        """The times, for a resume."""
        return {"idle": self._idle, "total": self._total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the times before an interruption."""
        self._idle, self._total = float(state_dict["idle"]), float(state_dict["total"])
