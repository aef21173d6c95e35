"""The data loaders of a run."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.frontend import FrameGrid
from efficient_sed.config.schema import DataConfig
from efficient_sed.data.clip_dataset import EpochSampler, EvaluationWindows, TrainingClips, collate
from efficient_sed.data.events import Splits
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.errors import DataError


class SedDataModule(pl.LightningDataModule):
    """Training excerpts and evaluation windows of one data set.

    Args:
        splits: The loaded data set.
        grid: The model's frame grid.
        batch_size: Training clips a step; evaluation takes the same.
        seed: Fixes order and excerpts.
    """

    def __init__(self, config: DataConfig, splits: Splits, grid: FrameGrid, batch_size: int, seed: int) -> None:
        super().__init__()
        self.config, self.splits, self.batch_size, self.seed = config, splits, batch_size, seed
        pseudo_labels = PseudoLabels(config.pseudo_labels, splits.classes) if config.pseudo_labels else None
        self.training = TrainingClips(splits.train, splits.classes, grid, config.clip_seconds, seed, pseudo_labels)
        self.validation = EvaluationWindows(splits.validation, splits.classes, grid, config.clip_seconds)
        self.num_with_teacher = sum(clip.id in pseudo_labels for clip in splits.train) if pseudo_labels else 0
        if pseudo_labels and self.num_with_teacher == 0:
            raise DataError(f"data.pseudo_labels={config.pseudo_labels}: holds none of the {len(splits.train)} training clips (such as {splits.train[0].id!r})")

    def train_dataloader(self) -> DataLoader[Any]:
        sampler = EpochSampler(len(self.training), self.seed)
        return self._loader(self.training, sampler=sampler, drop_last=len(self.training) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.validation)

    def _loader(self, dataset: Any, **options: Any) -> DataLoader[Any]:
        workers = self.config.num_workers
        return DataLoader(dataset, self.batch_size, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0, pin_memory=torch.cuda.is_available(), **options)
