"""The share of training that is spent waiting for data."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl


class IdleShare(pl.Callback):
    """Times the gaps between training steps, without validation and the first batch of an epoch."""

    def __init__(self) -> None:
        self._idle = self._total = 0.0
        self._ended_at: float | None = None

    @property
    def idle_share(self) -> float | None:
        """Mean over all timed steps, 0 to 1; None before the first."""
        return self._idle / self._total if self._total else None

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
