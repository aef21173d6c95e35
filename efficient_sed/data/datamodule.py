"""The data loaders of a run."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import Batch, EvaluationWindows, TrainingClips, collate
from efficient_sed.data.events import Splits
from efficient_sed.data.samplers import WEIGHTS, EpochSampler, MixedSampler, weights_by_clips
from efficient_sed.data.stored_teacher import stored_teacher, with_teacher
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)


class SedDataModule(pl.LightningDataModule):
    """Training excerpts and evaluation windows of one data set.

    Args:
        run: Its seed fixes order and excerpts; `train.batch_size` clips a step, divided among the processes, in
            evaluation too.
        splits: The loaded data set.
        grid: The model's frame grid.

    Raises:
        DataError: If the training part holds nothing that the configured sampler or teacher could use.
        ConfigError: If it has no labels, and no teacher as the only target.
    """

    def __init__(self, run: RunConfig, splits: Splits, grid: FrameGrid) -> None:
        super().__init__()
        self.run, self.config, self.splits, self.grid = run, run.data, splits, grid
        pseudo_labels = stored_teacher(self.config, splits, grid)
        if not self.config.has_labels:
            splits = self.splits = with_teacher(run, splits, pseudo_labels, grid)
        self._weak_weights = weights_by_clips(splits.weak) if run.train.weak_share else None
        weak = splits.weak if run.train.weak_share else ()
        excerpt_seconds = min(run.train.crop_seconds or self.config.clip_seconds, self.config.clip_seconds)
        self.training = TrainingClips(
            splits.train, splits.classes, grid, excerpt_seconds, run.seed, pseudo_labels, weak
        )
        self.validation = EvaluationWindows(
            splits.validation, splits.classes, grid, self.config.clip_seconds, splits.evaluated_classes
        )
        self.num_with_teacher = sum(clip.id in pseudo_labels for clip in splits.train) if pseudo_labels else 0
        self.num_workers = self.config.pool_size
        """Processes that decode; what trains may choose another number before it asks for a loader."""
        self._batches_done = 0
        self._sampler: EpochSampler | MixedSampler | None = None
        self._weights = WEIGHTS[run.task](splits.train, grid) if run.train.sampler == "balanced" else None
        if self._weights is not None and not self._weights.any():
            raise DataError(
                "train.sampler=balanced draws clips by their events, and the train part holds none; give "
                "train.sampler=uniform"
            )
        if self._weak_weights is not None and not self._weak_weights.any():
            raise DataError(
                f"train.weak_share={run.train.weak_share} draws weak clips by their labels, and none of the "
                f"{len(splits.weak)} has one"
            )
        if splits.weak and not run.train.weak_share:
            logger.warning(
                "%s weak clips are loaded and take part in no batch: train.weak_share=0", f"{len(splits.weak):,}"
            )

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of training clips."""
        rank, world_size = self._process()
        train, num_clips, own_batch = self.run.train, len(self.splits.train), self.run.train.batch_size // world_size
        draws = train.draws(num_clips)
        sampler: EpochSampler | MixedSampler
        if self._weak_weights is None:
            sampler = EpochSampler(num_clips, self.run.seed, draws, self._weights, rank, world_size)
            if len(sampler) == 0:
                raise DataError(
                    f"an epoch of {sampler.num_draws} clips leaves some of {world_size} processes without one; give "
                    "fewer devices"
                )
        else:
            own_weak = train.weak_per_batch // world_size
            sampler = MixedSampler(
                num_clips, self.run.seed, self._weak_weights, own_batch, own_weak,
                draws, self._weights, rank, world_size,
            )  # fmt: skip
            if len(sampler) == 0:
                epoch = f"one pass over {num_clips} strong clips" if draws is None else f"train.draws_per_epoch={draws}"
                share = f"train.weak_share={train.weak_share}"
                raise DataError(f"{epoch} and {share} do not fill a batch of {train.batch_size}; give a smaller one")
        self._sampler = sampler
        self._skip_done()
        return self._loader(self.training, sampler=sampler, drop_last=len(sampler) >= own_batch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Windows of the validation clips."""
        rank, world_size = self._process()
        return self._loader(self.validation, sampler=range(rank, len(self.validation), world_size))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move all but `is_weak`, which is needed on the CPU: reading it there makes no step wait for the GPU."""
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved._replace(is_weak=batch.is_weak)

    def state_dict(self) -> dict[str, Any]:
        """Number of batches done in this epoch, so that a training that was stopped continues with the next one."""
        if self.trainer is None:
            return {}
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return {"batches_done": 0 if progress.is_last_batch else progress.current.ready}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue an epoch at the batch where a checkpoint was written."""
        self._batches_done = int(state_dict.get("batches_done", 0))
        self._skip_done()

    def _skip_done(self) -> None:
        """Let the sampler, if there is one yet, begin behind the batches that were done before a stop."""
        if self._sampler is not None:
            self._sampler.num_done = self._batches_done * self.run.train.batch_size // self._process()[1]
            self._batches_done = 0

    def _process(self) -> tuple[int, int]:
        """This process and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, dataset: Any, **options: Any) -> DataLoader[Any]:
        own_batch, workers = self.run.train.batch_size // self._process()[1], self.num_workers
        # pinning opens a context on the GPU
        is_pinned = self.run.train.accelerator != "cpu" and torch.cuda.is_available()
        return DataLoader(
            dataset,
            own_batch,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=is_pinned,
            **options,
        )
