"""What happens around training steps: checkpoints that survive a full disk, stops, averages, times."""

from __future__ import annotations

import io
import signal
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar, WeightAveraging
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from efficient_sed.errors import CheckpointError, PreemptedError
from efficient_sed.files.atomic import write_atomically

LOOK_EVERY_S = 5.0  # for a signal, where several processes have to agree
READ_EVERY_S = 1.0  # what a progress bar or file shows of a GPU


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint only by a complete one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint as a whole, or raise a CheckpointError and leave the one before it intact."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        try:
            write_atomically(Path(path), buffer.getvalue())
        except OSError as error:
            advice = "the checkpoint before it is intact: free some space and start the same command again"
            raise CheckpointError(f"{path}: cannot be written ({error.strerror}); {advice}") from error


class MovableCheckpoint(ModelCheckpoint):
    """Remembers the best score when the run's folder was moved or renamed between an interruption and the resume."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state with the run's present folder in its paths."""
        old, new = str(state_dict["dirpath"]), str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): moved(item) for key, item in value.items()}
            return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value

        super().load_state_dict(moved(state_dict))


class StopOnSignal(pl.Callback):
    """On SIGTERM, which a cluster sends before it takes a machine away: finish the step, save, raise a PreemptedError.

    A single process checks after every step. Several have to agree, which makes them wait for their GPUs and for each
    other: they check about every `LOOK_EVERY_S` seconds, all after the same step.

    Args:
        checkpoint: File to save to; the one that a resume reads.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._is_asked = False
        self._before: Any = None
        self._num_steps, self._steps_since, self._looked_at = 1, 0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Catch SIGTERM from now on."""
        self._looked_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self._is_asked = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and raise a PreemptedError if a process was asked to stop."""
        is_mid_step = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        # the end of an epoch is saved after its validation
        if is_mid_step or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        if not (self._is_asked if trainer.world_size == 1 else self._is_agreed(trainer)):
            return
        trainer.save_checkpoint(self.checkpoint)
        raise PreemptedError(
            f"stopped by SIGTERM after step {trainer.global_step}; the same command goes on from there"
        )

    def _is_agreed(self, trainer: pl.Trainer) -> bool:
        """Whether any process was asked; False between two looks. The slowest process decides when the next one is."""
        self._steps_since += 1
        if self._steps_since < self._num_steps:
            return False
        seconds = (time.monotonic() - self._looked_at) / self._steps_since
        values = torch.tensor([float(self._is_asked), seconds], device=trainer.strategy.root_device)
        is_asked, slowest = trainer.strategy.reduce(values, reduce_op="max").tolist()
        self._num_steps = max(1, int(LOOK_EVERY_S / max(slowest, 1e-6)))
        self._steps_since, self._looked_at = 0, time.monotonic()
        return bool(is_asked)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the handler of SIGTERM."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None


class AveragedWeights(WeightAveraging):
    """Keeps a moving average of all weights, which is validated and saved as a checkpoint's weights.

    The weights before averaging are saved beside them for a resume. Statistics of BatchNorm are averaged, too, or they
    would not be those of the averaged weights; a mean teacher takes them in its own passes. Frozen weights stay exactly
    what they are.

    Args:
        decay: Share that a step leaves of the average.
        teaches: Whether the average is a mean teacher: it is scored in the training step, with BatchNorm as in the
            model, and follows the first steps faster, by a decay of at most 1 - 1 / (step + 1).
    """

    def __init__(self, decay: float, *, teaches: bool = False) -> None:
        super().__init__(use_buffers=False)
        self._decay, self._teaches = decay, teaches

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the average on the device to which the model will be moved."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            cast(Any, pl_module).averages = [self._average_model.module]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let a mean teacher's BatchNorm take its statistics over all processes, as the model's does."""
        shared = getattr(trainer.strategy, "_layer_sync", None)
        if self._teaches and shared is not None and trainer.world_size > 1 and self._average_model is not None:
            shared.apply(self._average_model.module)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average without Lightning's wait for the GPU, which it asks at every step how many it has averaged."""
        averaged = self._average_model
        if averaged is None or trainer.global_step <= self._latest_update_step:
            return
        own: list[Tensor] = list(averaged.module.parameters())
        current: list[Tensor] = list(pl_module.parameters())
        is_first, step = self._latest_update_step == 0, trainer.global_step
        decay = min(self._decay, 1 - 1 / (step + 1)) if self._teaches else self._decay
        if is_first:
            torch._foreach_copy_(own, current)
        else:
            average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            average(own, current, averaged.n_averaged)
        if not self._teaches:
            for buffer, value in zip(averaged.module.buffers(), pl_module.buffers(), strict=True):
                if is_first or not buffer.is_floating_point():
                    buffer.copy_(value)
                else:
                    buffer.lerp_(value, 1 - decay)
        averaged.n_averaged += 1
        self._latest_update_step = trainer.global_step


class TrainingBar(RichProgressBar):
    """Lightning's bar, which within an epoch reads losses from the GPU at most once a second, not after every step."""

    def __init__(self) -> None:
        super().__init__(leave=True)
        self._read_at = 0.0
        self._metrics_read: dict[str, Any] = {}

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What the bar shows; within an epoch values that were read at most a second ago."""
        is_within_epoch = trainer.training and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if (now := time.monotonic()) - self._read_at >= READ_EVERY_S or not is_within_epoch:
            self._read_at, self._metrics_read = now, dict(super().get_metrics(trainer, pl_module))
        return self._metrics_read


class Patience(EarlyStopping):
    """Ends a training that no longer gets better; a training that it has ended is not continued when it is resumed."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a resumed training at once that had ended before."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class EpochTimer(pl.Callback):
    """Wall seconds of each training epoch without its validation; interrupted epochs are left out."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._started_at: float | None = None
        self._next_batch = 0

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean over whole epochs; None before the first."""
        return round(sum(self._seconds) / len(self._seconds), 3) if self._seconds else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started_at, self._next_batch = time.perf_counter(), 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock if the epoch does not begin with its first batch."""
        if batch_idx != self._next_batch:
            self._started_at = None  # the rest of an interrupted epoch
        self._next_batch = batch_idx + 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock: Lightning validates before it calls an epoch ended."""
        self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def _stop(self) -> None:
        if self._started_at is not None:
            self._seconds.append(time.perf_counter() - self._started_at)
            self._started_at = None

    def state_dict(self) -> dict[str, Any]:
        """The seconds of finished epochs, for a resume."""
        return {"seconds": self._seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the seconds of epochs before an interruption."""
        self._seconds = list(state_dict["seconds"])
