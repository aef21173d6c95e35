"""Fit a model by a run's configuration; resumes where the run's folder left off."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor

from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.activity import active_shares
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.events import Splits
from efficient_sed.errors import CheckpointError, DataError
from efficient_sed.machine.environment import choose_device, device_name
from efficient_sed.machine.memory import enough_memory
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.models.weights.checkpoint import load_model
from efficient_sed.models.weights.initial import load_initial, load_initial_model
from efficient_sed.training.callbacks import (
    AveragedWeights,
    EpochTimer,
    MovableCheckpoint,
    Patience,
    StopOnSignal,
    TrainingBar,
)
from efficient_sed.training.energy import EnergyUse
from efficient_sed.training.guards import (
    configure_logging,
    keyboard_interrupts,
    lost_processes,
    without_cuda_seeding,
    without_warnings,
)
from efficient_sed.training.idle import IdleShare
from efficient_sed.training.losses import activity_weights
from efficient_sed.training.module import SedModule
from efficient_sed.training.progress import ProgressFile, ZeroScores
from efficient_sed.training.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT, check_checkpoints, kept_checkpoint
from efficient_sed.training.trainer import build_trainer
from efficient_sed.training.workers import choose_workers

logger = logging.getLogger(__name__)


def build_model(config: RunConfig, classes: tuple[str, ...]) -> SedModel:
    """The run's model before training: random from its seed, but for what `backbone.init` or `train.init_from` gives.

    Args:
        config: The run.
        classes: Labels in logit order.

    Raises:
        CheckpointError: If the initial weights cannot be had or hold another backbone or model.
    """
    torch.manual_seed(config.seed)
    model = SedModel(ModelSpec(config.backbone, config.seq, classes, config.classifier.pooling))
    notes = {"extended_from": config.train.init_from} if config.train.extend_classes else {}
    model.provenance = Provenance(config.data.clip_seconds, config.data.median_frames, config.task, notes)
    load_initial(model.backbone, config.backbone)
    if config.train.init_from is not None:
        load_initial_model(model, config.train.init_from, is_extended=config.train.extend_classes)
    return model


def fit(config: RunConfig, splits: Splits, run_folder: Path, *, show_progress: bool) -> tuple[SedModel, dict[str, Any]]:
    """Train, and return the model of the epoch that `train.select` names with facts on the training.

    Of several processes the first returns, and the others end here.

    Args:
        config: The run.
        splits: Its data.
        run_folder: Holds `last.ckpt` (resumed from, if there), `best.ckpt`, logs and progress.
        show_progress: Draw a progress bar on the terminal.

    Raises:
        DataError: If the training part is smaller than one batch can use, or a file cannot be read.
        CheckpointError: If a checkpoint cannot be written, is damaged, or does not fit.
        LostProcessError: If another process of this training ended.
    """
    configure_logging()
    pl.seed_everything(config.seed, verbose=False)
    advice = "choose a smaller model or teacher, or store the teacher's scores first: efficient-sed pseudo-label"
    with enough_memory("while loading", advice):
        module = SedModule(build_model(config, splits.classes), config)
    data = SedDataModule(config, splits, module.model.grid)
    module.has_weak_labels = any(group.kind == "weak" for group in data.training.groups)
    if config.task == "detection" and config.train.activity_balance:
        shares = torch.from_numpy(active_shares(data.splits.train, splits.classes, module.model.grid)).float()
        module.active_weights = activity_weights(shares, config.train.activity_balance)[:, None]
    if config.data.num_workers is None:
        device = choose_device(config.train.accelerator, "train.accelerator")
        train, model = config.train, module.model
        frozen_stages = None if train.is_backbone_frozen else train.frozen_stages
        data.num_workers = choose_workers(data.training, model, device, train.devices, frozen_stages)
    check_checkpoints(run_folder)
    best, timer, idle, energy = _best_checkpoint(module, run_folder), EpochTimer(), IdleShare(), EnergyUse()
    callbacks = [*_callbacks(module, run_folder, best, timer, show_progress=show_progress), idle, energy]
    with without_warnings():
        trainer = build_trainer(config, run_folder, callbacks, show_progress=show_progress)
        _train(trainer, module, data, run_folder)
    if not trainer.is_global_zero:
        raise SystemExit(0)
    _check_validated(run_folder, best)
    device = trainer.strategy.root_device  # after `fit`, Lightning has moved the module back to the CPU
    model = load_model(str(kept_checkpoint(config, run_folder))).to(device)
    return model, _facts(module, data, trainer, best, timer) | {"idle_share": idle.idle_share} | energy.facts()


def _best_checkpoint(module: SedModule, run_folder: Path) -> MovableCheckpoint:
    """Keeps the best epoch by what `train.select` looks at."""
    monitor, mode = ("val/loss", "min") if module.config.train.select == "lowest_loss" else (module.monitor, "max")
    name = Path(BEST_CHECKPOINT).stem
    return MovableCheckpoint(run_folder, filename=name, monitor=monitor, mode=mode, enable_version_counter=False)


def _callbacks(
    module: SedModule, run_folder: Path, best: MovableCheckpoint, timer: EpochTimer, *, show_progress: bool
) -> list[pl.Callback]:
    """All callbacks in the order in which they are called: the averaged weights before what saves."""
    train = module.config.train
    name = Path(LAST_CHECKPOINT).stem
    # one of its own: Lightning's save_last writes only in epochs that are the best so far
    last = MovableCheckpoint(run_folder, filename=name, save_on_train_epoch_end=True, enable_version_counter=False)
    return [
        *_averages(train),
        best,
        last,
        StopOnSignal(run_folder / LAST_CHECKPOINT),
        ProgressFile(run_folder, module.monitor, is_logged=not show_progress),
        ZeroScores(module.monitor),
        LearningRateMonitor("step"),
        timer,
        *([] if train.patience is None else [Patience(str(best.monitor), patience=train.patience, mode=best.mode)]),
        *([TrainingBar()] if show_progress else []),
    ]


def _averages(train: TrainConfig) -> list[pl.Callback]:
    """What keeps a moving average of the weights, if anything does."""
    if train.mean_teacher:
        return [AveragedWeights(train.mean_teacher_decay, teaches=True)]
    return [AveragedWeights(train.ema_decay)] if train.ema_decay else []


def _train(trainer: pl.Trainer, module: SedModule, data: SedDataModule, run_folder: Path) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    train, last = module.config.train, run_folder / LAST_CHECKPOINT
    if last.is_file():
        logger.info("resuming from %s", last)
    work = f"in a training with train.batch_size={train.batch_size}"
    advice = "try a smaller one, or a smaller model or teacher"
    with (
        lost_processes(train.devices),
        keyboard_interrupts(),
        without_cuda_seeding(train),
        enough_memory(work, advice),
    ):
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.is_file() else None, weights_only=True)


def _check_validated(run_folder: Path, best: MovableCheckpoint) -> None:
    """Raise an error that says why there is no best epoch, if there is none."""
    path = run_folder / BEST_CHECKPOINT
    if path.is_file():
        return
    if best.best_model_score is not None:
        advice = f"put it back, or delete {LAST_CHECKPOINT} beside it, too, and the run begins anew"
        raise CheckpointError(f"{path}: is gone; {advice}")
    raise DataError(f"{run_folder}: training ended without a validation; is every validation file unreadable?")


def _facts(
    module: SedModule, data: SedDataModule, trainer: pl.Trainer, best: MovableCheckpoint, timer: EpochTimer
) -> dict[str, Any]:
    """What a result says about the training."""
    train, teacher = module.config.train, module.teacher
    return {
        "select": train.select,
        "best_score": float(best.best_model_score or 0.0),
        "monitor": best.monitor,
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds_per_epoch": timer.seconds_per_epoch,
        "num_workers": data.num_workers,
        "num_with_teacher": len(data.splits.train) if teacher else data.num_with_teacher,
        "clips_by_subset": data.num_clips,
        "teacher": teacher.fingerprint if teacher else None,
        "unreadable": sorted(set(module.unreadable)),
        "device": device_name(trainer.strategy.root_device),
    }
