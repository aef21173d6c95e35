"""The data loaders of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import Batch, EvaluationWindows, TrainingClips, collate
from efficient_sed.data.events import Splits
from efficient_sed.data.samplers import ComposedSampler, EpochSampler, Share
from efficient_sed.data.stored_teacher import stored_teacher, with_teacher
from efficient_sed.data.subsets import (
    balanced_weights,
    check_subsets,
    compose_batches,
    count_by_subset,
    learnable,
    scorable,
)
from efficient_sed.errors import DataError


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
        check_subsets(run, splits.train)
        pseudo_labels = stored_teacher(self.config, splits, grid)
        if not self.config.has_labels:
            splits = self.splits = with_teacher(run, splits, pseudo_labels, grid)
        splits = self.splits = dataclasses.replace(splits, train=learnable(run, splits.train, pseudo_labels))
        excerpt_seconds = min(run.train.crop_seconds or self.config.clip_seconds, self.config.clip_seconds)
        self.training = TrainingClips(splits.train, splits.classes, grid, excerpt_seconds, run.seed, pseudo_labels)
        self.validation = EvaluationWindows(
            scorable(splits.validation, run.task),
            splits.classes,
            grid,
            self.config.clip_seconds,
            splits.evaluated_classes,
        )
        self.num_with_teacher = sum(clip.id in pseudo_labels for clip in splits.train) if pseudo_labels else 0
        self.num_workers = self.config.pool_size
        """Processes that decode; what trains may choose another number before it asks for a loader."""
        self.num_clips = count_by_subset(splits.train)
        """Training clips by subset."""
        self._batches_done = 0
        self._sampler: EpochSampler | ComposedSampler | None = None
        self._weights: np.ndarray | None = None
        self._shares: list[Share] = []
        if run.train.batch_clips is not None:
            self._shares = compose_batches(run, splits.train, grid)
        elif run.train.sampler == "balanced":
            self._weights = balanced_weights(run, splits.train, grid)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of training clips."""
        rank, world_size = self._process()
        train, own_batch = self.run.train, self.run.train.batch_size // world_size
        draws = train.draws(self.num_clips)
        sampler: EpochSampler | ComposedSampler
        if self._shares:
            shares = [share._replace(per_batch=share.per_batch // world_size) for share in self._shares]
            sampler = ComposedSampler(shares, self.run.seed, draws // train.batch_size, rank, world_size)
        else:
            sampler = EpochSampler(len(self.splits.train), self.run.seed, draws, self._weights, rank, world_size)
            if len(sampler) == 0:
                raise DataError(
                    f"an epoch of {sampler.num_draws} clips leaves some of {world_size} processes without one; give "
                    "fewer devices"
                )
        self._sampler = sampler
        self._skip_done()
        return self._loader(self.training, sampler=sampler, drop_last=len(sampler) >= own_batch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Windows of the validation clips."""
        rank, world_size = self._process()
        return self._loader(self.validation, sampler=range(rank, len(self.validation), world_size))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move all but what is read on the CPU, so that no step waits for the GPU."""
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved._replace(kinds=batch.kinds, groups=batch.groups, is_distilled=batch.is_distilled)

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
