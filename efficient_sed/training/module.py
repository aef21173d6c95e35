"""The LightningModule: training step, validation, optimiser. Detection and tagging differ in loss and metric."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import Batch
from efficient_sed.errors import DataError, DivergedError
from efficient_sed.inference.evaluate import (
    ClipScores,
    collected_event_metrics,
    handle_unreadable,
    start_scores,
    task_metrics,
)
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.header import model_header
from efficient_sed.models.weights.initial import initial_classes
from efficient_sed.teachers.model import ModelConfig, is_alike
from efficient_sed.training.augmentation import Augmented, augment_batch
from efficient_sed.training.frozen_stages import FrozenStages
from efficient_sed.training.losses import (
    consistency_loss,
    detection_loss,
    kept_classes,
    ramp_up,
    single_label_loss,
    tagging_loss,
    with_weak_labels,
)
from efficient_sed.training.optim import build_optimizer, set_batchnorm

LOG_EVERY_STEPS = 5  # losses are read from the device, and averaged over all processes


class SedModule(pl.LightningModule):
    """Trains a model by a run's configuration.

    Args:
        model: With the data set's classes.
        config: The run.
    """

    def __init__(self, model: SedModel, config: RunConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.save_hyperparameters({"model": model_header(model)})  # makes a .ckpt loadable by load_model
        set_batchnorm(model, config.train.batchnorm_momentum)
        train = config.train
        self._frozen = FrozenStages(model.backbone, None if train.is_backbone_frozen else train.frozen_stages)
        self._scorers: list[SedModel] = []
        """Faster copies of what is scored in a validation, in a list so that they are no part of this module."""
        self._num_kept = len(initial_classes(model.spec, str(train.init_from))) if train.extend_classes else None
        """Classes, the first ones, that the model had before; None if it keeps none."""
        self.teacher = (
            ModelConfig(train.teachers, config.task).build(model.classes[: self._num_kept], model.grid)
            if train.teachers
            else None
        )
        if self.teacher is not None:
            clip_seconds, crop_seconds = config.data.clip_seconds, config.train.crop_seconds
            is_cropped = crop_seconds is not None and crop_seconds < clip_seconds
            self.teacher.check_clips(
                crop_seconds if is_cropped and crop_seconds else clip_seconds,
                "train.crop_seconds" if is_cropped else "data.clip_seconds",
            )
        self._is_shared = (
            [] if self.teacher is None else [is_alike(frontend, model.frontend) for frontend in self.teacher.frontends]
        )
        """Which of the teachers' front ends equal the student's; such a teacher gets the student's spectrogram."""
        self.unreadable: list[str] = []
        self.has_weak_labels = False
        """Whether a batch may hold weak clips; in all processes the same, which log the same losses."""
        self.active_weights: Tensor | None
        """Weight of a frame with each class, shape (classes, 1); None for 1."""
        self.register_buffer("active_weights", None, persistent=False)
        self.averages: list[SedModule] = []
        """The moving average of this module where there is one, which `AveragedWeights` keeps; in a list so that it is
        no part of this module. During a validation the two have exchanged their weights."""
        self._collected: list[ClipScores] = []
        """Of the model and, with a mean teacher, of the student."""
        self._clips_trained: float | Tensor = 0
        self._validation_loss = torch.zeros(2)
        """Sum over the windows of an epoch, and their number."""

    @property
    def monitor(self) -> str:
        """The validation metric that chooses the best epoch; higher is better."""
        psds = PsdsParameters.of(self.config.evaluation).name
        return "val/map" if self.config.task == "tagging" else f"val/{psds}_macro"

    def on_train_start(self) -> None:
        """Run what is frozen in its faster form, from the weights of this start or of the checkpoint resumed from."""
        self._frozen.start()
        self._set_modes()  # Lightning leaves out the start of an epoch that is resumed in its middle

    def teardown(self, stage: str) -> None:
        """Leave the model as it was built."""
        self._frozen.stop()

    def on_train_epoch_start(self) -> None:
        """Put what is frozen into evaluation mode."""
        self._set_modes()

    def _set_modes(self) -> None:
        """Put what is frozen into evaluation mode, in a mean teacher, too."""
        for average in self.averages if self.config.train.mean_teacher else ():
            average.model.train()
            average._set_modes()
        self._frozen.eval()
        if self.config.train.is_batchnorm_frozen:
            for module in self.model.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # of several processes, too
                    module.eval()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor | None:
        """The loss of a batch; None if no file of it can be read."""
        handle_unreadable(batch, self.config.data.on_error, self.unreadable)
        num_clips = len(batch.positions)
        share = self._share(num_clips)
        if num_clips == 0:
            if self.trainer.world_size == 1:
                return None
            batch = self._silence()  # the other processes wait for this one's gradient
        # by batch and not by step: several batches may make one step
        rng = np.random.default_rng([self.config.seed, self.current_epoch, batch_index, self.global_rank])
        augmented = self._augmented(batch, rng)
        torch.manual_seed(int(rng.integers(2**31)))  # so that a resumed run repeats its dropout
        output = self.model(augmented.mel)
        losses = self._losses(augmented, output)
        if self.config.train.mean_teacher:
            losses = self._with_consistency(losses, augmented, output, batch_index)
        self._log_losses(losses, num_clips)
        return share * losses["loss"]

    def _log_losses(self, losses: dict[str, Tensor], num_clips: int) -> None:
        """Log without waiting for a GPU; steps that are logged, and epochs, are averaged over all processes."""
        is_shared = self.trainer.world_size > 1
        values = torch.stack([value.detach() for value in losses.values()])
        steps = values
        is_logged = (self.trainer.global_step + 1) % LOG_EVERY_STEPS == 0  # as Lightning's loggers
        if is_shared and is_logged and not self.trainer.fit_loop._should_accumulate():
            steps = values / self.trainer.world_size
            torch.distributed.all_reduce(steps)
        for name, value, step_value in zip(losses, values, steps, strict=True):
            is_loss, key = name == "loss", "train/loss" if name == "loss" else f"train/loss_{name}"
            shown: dict[str, Any] = {"prog_bar": is_loss, "batch_size": num_clips}
            self.log(f"{key}_step", step_value, on_step=True, on_epoch=False, **shown)
            self.log(f"{key}_epoch", value, on_step=False, on_epoch=True, sync_dist=is_shared, **shown)

    def _share(self, num_clips: int) -> float | Tensor:
        """Weight of this process's loss in the mean over all: 1 where all of them have as many clips."""
        if self.config.data.on_error == "raise" or self.trainer.world_size == 1:
            self._clips_trained += num_clips
            return 1.0
        total = torch.full((), float(num_clips), device=self.device)  # Lightning's own reduce would wait for the GPU
        torch.distributed.all_reduce(total)
        self._clips_trained = self._clips_trained + total
        return num_clips * self.trainer.world_size / total.clamp(min=1)

    def _silence(self) -> Batch:
        """A batch of one silent clip, which counts for nothing."""
        dataset = cast(Any, self.trainer).datamodule.training
        samples = round(dataset.clip_seconds * dataset.grid.sample_rate)
        nothing = torch.zeros(1, len(self.model.classes), dataset.grid.num_frames(samples), device=self.device)
        nothing[:, 0] = 1  # a loss may divide by the labels
        return Batch.of_strong(torch.zeros(1, samples, device=self.device), nothing, nothing)

    def _augmented(self, batch: Batch, rng: np.random.Generator) -> Augmented:
        """The batch as `train.augment` has it."""
        frontends = (
            []
            if self.teacher is None
            else [
                frontend.to(self.device)
                for frontend, is_shared in zip(self.teacher.frontends, self._is_shared, strict=True)
                if not is_shared
            ]
        )
        augment, has_teacher = self.config.train.augment, self.teacher is not None
        return augment_batch(batch, self.model, augment, rng, frontends, has_teacher=has_teacher)

    def _losses(self, augmented: Augmented, output: SedOutput) -> dict[str, Tensor]:
        mel, targets, teacher, teacher_mels, _, rows, annotated = augmented
        train, data = self.config.train, self.config.data
        weight = train.teacher_weight if self.teacher or data.pseudo_labels or data.clip_teacher else 0.0
        clip_teacher, distilled_classes = teacher.amax(-1), None
        if self.teacher is not None:
            others = iter(teacher_mels)
            teacher, clip_teacher = (
                logits.sigmoid()
                for logits in self.teacher([mel if is_shared else next(others) for is_shared in self._is_shared])
            )
            if self._num_kept is not None:
                distilled_classes = kept_classes(annotated, self._num_kept, targets.shape[:2]).to(targets.device)
                teacher, clip_teacher = (_as_wide(scores, targets) for scores in (teacher, clip_teacher))
        if self.config.has_single_labels and not weight:
            return single_label_loss(output.clip_logits, targets.amax(-1), train.label_smoothing, rows.labelled)
        if self.config.task == "tagging":
            return tagging_loss(
                output.clip_logits, targets.amax(-1), clip_teacher, weight, train.label_smoothing,
                rows.labelled, rows.distilled_clips, annotated, distilled_classes,
            )  # fmt: skip
        losses = detection_loss(
            output.frame_logits, targets, teacher, weight, rows.framewise, rows.distilled, annotated,
            distilled_classes, self.active_weights,
        )  # fmt: skip
        if not self.has_weak_labels and not len(rows.weak):
            return losses
        return with_weak_labels(losses, output.clip_logits, targets.amax(-1), weight, rows.weak, annotated)

    def _with_consistency(
        self, losses: dict[str, Tensor], augmented: Augmented, output: SedOutput, batch_index: int
    ) -> dict[str, Tensor]:
        """The losses with the mean teacher's term."""
        (average,), train = self.averages, self.config.train
        with torch.no_grad():
            teacher = self._scores(average.model(augmented.plain))
        consistency = consistency_loss(
            self._scores(output), teacher, augmented.rows.consistent, augmented.annotated, train.consistency
        )
        epochs = train.ramp_up_epochs or max(1, train.epochs // 4)
        progress = (self.current_epoch + batch_index / max(1, self.trainer.num_training_batches)) / epochs
        weight = train.consistency_weight * ramp_up(progress)
        return {**losses, "loss": losses["loss"] + weight * consistency, "consistency": consistency}

    def _scores(self, output: SedOutput) -> list[Tensor]:
        """What a mean teacher is compared by: scores of clips and, where they are learnt, of frames."""
        clip_logits = output.clip_logits.float()
        if self.config.has_single_labels:
            return [clip_logits.softmax(1)]
        clip_scores = clip_logits.sigmoid()
        return [clip_scores] if self.config.task == "tagging" else [clip_scores, output.frame_logits.float().sigmoid()]

    def on_train_epoch_end(self) -> None:
        """Raise a DataError if not one training file could be read."""
        if not self._clips_trained:  # of several processes on the device, and asked for once an epoch
            raise DataError(f"not one training file could be read; the last one: {self.unreadable[-1]}")

    def on_train_end(self) -> None:
        """Collect the unreadable files of all processes."""
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.unreadable)
            self.unreadable = [message for part in parts for message in part]

    def on_validation_epoch_start(self) -> None:
        """Begin to collect scores."""
        config, dataset = self.config, cast(Any, self.trainer).datamodule.validation
        self._validation_loss = torch.zeros(2, device=self.device)
        self._frozen.stop()  # a copy is made of the layers themselves
        students = [average.model for average in self.averages if config.train.mean_teacher]
        self._scorers = [fuse(model) for model in (self.model, *students)]
        self._frozen.start()
        self._collected = [
            start_scores(
                dataset,
                config.task,
                config.evaluation,
                config.data.median_frames,
                keeps_scores=config.has_event_scores,
            )
            for _ in self._scorers
        ]

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect scores and loss of a batch."""
        handle_unreadable(batch, self.config.data.on_error, self.unreadable)
        if len(batch.positions) == 0 or not self._collected:
            return
        mel = self._scorers[0].frontend(batch.waveform)
        outputs = [scorer(mel) for scorer in self._scorers]
        output = outputs[0]
        self._check_numbers(output)
        if self.config.has_single_labels:
            loss = single_label_loss(output.clip_logits, batch.targets.amax(-1))["loss"]
        elif self.config.task == "tagging":
            loss = tagging_loss(output.clip_logits, batch.targets.amax(-1), annotated=batch.annotated)["loss"]
        else:
            loss = detection_loss(output.frame_logits, batch.targets, batch.targets, 0.0, annotated=batch.annotated)[
                "loss"
            ]
        self._validation_loss += torch.stack(
            [loss.detach() * len(batch.positions), loss.new_tensor(len(batch.positions))]
        )
        for collected, scored in zip(self._collected, outputs, strict=True):
            collected.add(batch.positions, scored.frame_logits.float().sigmoid(), scored.clip_logits)

    def _check_numbers(self, output: SedOutput) -> None:
        """Raise a DivergedError if a score is not finite, before the checkpoint of this epoch is written."""
        if not bool(torch.isfinite(output.frame_logits).all() & torch.isfinite(output.clip_logits).all()):
            train = self.config.train
            rates = f"train.lr_head={train.lr_head:g}" + (
                "" if train.is_backbone_frozen else f" and train.lr_backbone={train.lr_backbone:g}"
            )
            clip = (
                "train.gradient_clip=1"
                if not train.gradient_clip
                else f"a smaller train.gradient_clip than {train.gradient_clip:g}"
            )
            raise DivergedError(
                f"the training diverged in epoch {self.current_epoch + 1}: scores are no numbers any more; give lower "
                f"rates than {rates}, or {clip}"
            )

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the epoch."""
        self._scorers = []
        if not self._collected or self.trainer.sanity_checking:
            return
        # of all processes, those without a readable window too
        loss, num_windows = self.trainer.strategy.reduce(self._validation_loss, reduce_op="sum")
        if num_windows:
            self.log("val/loss", loss / num_windows)
        for prefix, collected in zip(("val", "val_student"), self._collected, strict=False):
            collected.gather()
            metrics = task_metrics(collected, self.config.task)
            if self.config.has_event_scores:
                metrics |= collected_event_metrics(collected, self.model.grid.hop_s)
            for name, value in metrics.items():
                if isinstance(value, float):
                    self.log(f"{prefix}/{name}", value, prog_bar=f"{prefix}/{name}" == self.monitor)
        self._collected = []

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule per step."""
        optimizer, schedule = build_optimizer(
            self.model, self.config.train, int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _as_wide(scores: Tensor, targets: Tensor) -> Tensor:
    """A teacher's scores with zeros for the classes behind its own, as many as the labels have."""
    missing = scores.new_zeros(len(scores), targets.shape[1] - scores.shape[1], *scores.shape[2:])
    return torch.cat([scores, missing], 1)
