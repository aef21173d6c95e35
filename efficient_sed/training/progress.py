"""How far a training is and how long it still takes, for the terminal, the log and other processes."""

from __future__ import annotations

import contextlib
import json
import logging
import statistics
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from efficient_sed.files.atomic import write_atomically
from efficient_sed.training.run_files import LOG_EVERY_S, PROGRESS_FILE, describe_progress

logger = logging.getLogger(__name__)
WRITE_EVERY_S = 1.0
FIRST_STEPS, RECENT_STEPS = 5, 25
ZERO_SCORE, PATIENT_VALIDATIONS = 0.005, 2
VALIDATION_SHARE = 0.25
"""Time of a clip in a validation as a share of that in a step, until one is timed: a fused forward pass."""


class StepClock:
    """Estimates how long the rest of a training takes, by the median of its last steps and its last validation."""

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=RECENT_STEPS)
        self._since = 0.0
        self._validation_s: float | None = None

    def start(self) -> None:
        """Begin a step, or a validation."""
        self._since = time.monotonic()

    def end_step(self) -> None:
        """End a step, and begin the next one."""
        now = time.monotonic()
        self._steps.append(now - self._since)
        self._since = now

    def end_validation(self) -> None:
        """End a validation."""
        self._validation_s = time.monotonic() - self._since

    def remaining(self, batches: int, validations: int, validation_batches: int) -> float | None:
        """Estimate the seconds that are left.

        Args:
            batches: Still to train on.
            validations: Still to come.
            validation_batches: Of one of them.

        Returns:
            None after the first steps of a process, which also fill caches and memory.
        """
        if len(self._steps) < FIRST_STEPS:
            return None
        step_s = statistics.median(self._steps)
        guessed = VALIDATION_SHARE * step_s * validation_batches
        return batches * step_s + validations * (guessed if self._validation_s is None else self._validation_s)


class ProgressFile(pl.Callback):
    """Writes step, loss, last validation score and remaining time into the run's folder, at most once a second.

    Args:
        run_folder: Of the run.
        monitor: Name of the score.
        is_logged: Write the same to the log every ten seconds.
    """

    def __init__(self, run_folder: Path, monitor: str, *, is_logged: bool = False) -> None:
        self.path, self.monitor, self.is_logged = run_folder / PROGRESS_FILE, monitor, is_logged
        self._clock = StepClock()
        self._written_at = self._logged_at = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._logged_at = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the first step."""
        self._clock.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the file, at most once a second, and the log, if that is wanted."""
        self._clock.end_step()
        now = time.monotonic()
        if now - self._written_at < WRITE_EVERY_S or not trainer.is_global_zero:
            return
        self._written_at = now
        progress = self._progress(trainer, trainer.current_epoch)
        with contextlib.suppress(OSError):  # the next checkpoint reports a full disk; until then training goes on
            write_atomically(self.path, json.dumps(progress).encode())
        if self.is_logged and now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            logger.info(describe_progress(progress))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of a validation."""
        self._clock.start()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop it."""
        self._clock.end_validation()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the score of the epoch, if that is wanted."""
        if self.is_logged and trainer.is_global_zero:
            self._logged_at = time.monotonic()
            logger.info(describe_progress(self._progress(trainer, epochs_done=trainer.current_epoch + 1)))

    def _progress(self, trainer: pl.Trainer, epochs_done: int) -> dict[str, float | None]:
        total, done, metrics = int(trainer.estimated_stepping_batches), trainer.global_step, trainer.callback_metrics
        epochs, every = int(trainer.max_epochs or 0), int(trainer.check_val_every_n_epoch or 1)
        validations = epochs // every - epochs_done // every
        validation_batches = sum(int(count) for count in trainer.num_val_batches)
        left = (total - done) * trainer.accumulate_grad_batches
        eta_s = self._clock.remaining(left, validations, validation_batches)
        return {
            "step": done,
            "steps": total,
            "epoch": trainer.current_epoch + 1,
            "epochs": epochs,
            "loss": float(metrics["train/loss_step"]) if "train/loss_step" in metrics else None,
            "score": float(metrics[self.monitor]) if self.monitor in metrics else None,
            "eta_s": None if eta_s is None else round(eta_s),
        }


class ZeroScores(pl.Callback):
    """Warns once where the first two validations found nothing.

    Args:
        monitor: Name of the score.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self._num_validations = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count validations as long as all scores are zero."""
        score = trainer.callback_metrics.get(self.monitor)
        is_zero = score is not None and float(score) < ZERO_SCORE
        self._num_validations = self._num_validations + 1 if is_zero else PATIENT_VALIDATIONS + 1
        if self._num_validations == PATIENT_VALIDATIONS and trainer.is_global_zero:
            logger.warning(
                "two validations, and %s is still %.3f: more steps (train.epochs=N, train.min_steps_per_epoch=N), a "
                "higher train.lr_backbone=R, train.is_batchnorm_frozen=false or another start (backbone.init=NAME) "
                "may help; `efficient-sed data check` looks at the annotations",
                self.monitor, float(score or 0),
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """The count, for a resume."""
        return {"num_validations": self._num_validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the count over."""
        self._num_validations = int(state_dict["num_validations"])
