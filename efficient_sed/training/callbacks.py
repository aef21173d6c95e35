"""What happens around training steps: checkpoints that survive a full disk, and progress that another process can read."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from efficient_sed._files import write_atomically
from efficient_sed._progress import clock
from efficient_sed.errors import CheckpointError, PreemptedError

logger = logging.getLogger(__name__)
PROGRESS_FILE = "progress.json"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint only by a complete one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        try:
            write_atomically(Path(path), buffer.getvalue())
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error.strerror}); the checkpoint before it is intact: free some space and start the same command again") from error


class MovableCheckpoint(ModelCheckpoint):
    """Remembers the best score when the run's folder was moved or renamed between an interruption and the resume."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        old, new = str(state_dict["dirpath"]), str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): moved(item) for key, item in value.items()}
            return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value

        super().load_state_dict(moved(state_dict))


class StopOnSignal(pl.Callback):
    """On SIGTERM, which a cluster sends before it takes a machine away: finish the step, save, and raise a PreemptedError.

    Args:
        checkpoint: File to save to; the one that a resume reads.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._is_asked = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self._is_asked = True

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        is_asked = trainer.strategy.reduce_boolean_decision(self._is_asked, all=False) if trainer.world_size > 1 else self._is_asked
        is_mid_step = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        if not is_asked or is_mid_step or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:  # an epoch's end is saved after its validation
            return
        trainer.save_checkpoint(self.checkpoint)
        raise PreemptedError(f"stopped by SIGTERM after step {trainer.global_step}; the same command goes on from there")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None


class AveragedWeights(EMAWeightAveraging):
    """Keeps a moving average of all weights: it is validated, and a checkpoint's weights are those; what a resume needs besides lies beside them.

    Statistics of BatchNorm are averages already and taken over as they are.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._device = trainer.strategy.root_device  # where the model will be; it is not there yet
        super().setup(trainer, pl_module, stage)


class Patience(EarlyStopping):
    """Ends a training that no longer gets better; one that it has ended stays so when it is begun again."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class EpochTimer(pl.Callback):
    """Wall seconds of each training epoch without its validation; epochs that an interruption cut are left out."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._started_at: float | None = None
        self._next_batch = 0

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean over whole epochs; none before the first."""
        return round(sum(self._seconds) / len(self._seconds), 3) if self._seconds else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started_at, self._next_batch = time.perf_counter(), 0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx != self._next_batch:
            self._started_at = None  # it goes on where it was cut
        self._next_batch = batch_idx + 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()  # Lightning validates before it calls an epoch ended

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._started_at is not None:
            self._seconds.append(time.perf_counter() - self._started_at)
            self._started_at = None

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds = list(state_dict["seconds"])


class ProgressFile(pl.Callback):
    """Writes step, loss, last validation score and remaining time into the run's folder, at most once a second.

    Args:
        monitor: Name of the score.
        is_logged: Say the same in a line of the log after every epoch.
    """

    def __init__(self, run_folder: Path, monitor: str, *, is_logged: bool = False) -> None:
        self.path, self.monitor, self.is_logged = run_folder / PROGRESS_FILE, monitor, is_logged
        self._started_at, self._first_step, self._written_at = 0.0, 0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started_at, self._first_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.monotonic()
        if now - self._written_at < 1.0 or not trainer.is_global_zero:
            return
        self._written_at = now
        with contextlib.suppress(OSError):  # a full disk is told of by the next checkpoint; until then training goes on
            write_atomically(self.path, json.dumps(self._progress(trainer)).encode())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.is_logged and trainer.is_global_zero:
            logger.info(describe_progress(self._progress(trainer)))

    def _progress(self, trainer: pl.Trainer) -> dict[str, float | None]:
        total, done = int(trainer.estimated_stepping_batches), trainer.global_step
        seconds_per_step = (time.monotonic() - self._started_at) / max(1, done - self._first_step)
        metrics = trainer.callback_metrics
        return {
            "step": done,
            "steps": total,
            "epoch": trainer.current_epoch + 1,
            "epochs": trainer.max_epochs,
            "loss": float(metrics["train/loss"]) if "train/loss" in metrics else None,
            "score": float(metrics[self.monitor]) if self.monitor in metrics else None,
            "eta_s": round(seconds_per_step * (total - done)),
        }


def describe_progress(progress: Mapping[str, float | None]) -> str:
    """Where a training stands, in a few words."""
    score = "" if progress["score"] is None else f", last validation {progress['score']:.3f}"
    loss = "" if progress["loss"] is None else f", loss {progress['loss']:.3f}"
    return f"epoch {progress['epoch']}/{progress['epochs']}{loss}{score}, {clock(progress['eta_s'] or 0)} of training left"
