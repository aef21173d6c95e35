"""Lightning's trainer with its strategy and loggers, by a run's configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.strategies import Strategy

from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.errors import ConfigError, MissingDependencyError, require_package
from efficient_sed.machine.environment import choose_device
from efficient_sed.training.callbacks import AtomicCheckpointIO
from efficient_sed.training.deepspeed import DeepSpeedStageTwo
from efficient_sed.training.guards import is_first_process
from efficient_sed.training.metrics_table import MetricsTable
from efficient_sed.training.module import LOG_EVERY_STEPS
from efficient_sed.training.shared_norm import SharedStatistics


def build_trainer(
    config: RunConfig, run_folder: Path, callbacks: list[pl.Callback], *, show_progress: bool
) -> pl.Trainer:
    """The trainer of a run.

    Args:
        config: The run.
        run_folder: Where logs are written.
        callbacks: In the order in which they are called.
        show_progress: Draw Lightning's progress bar.

    Raises:
        ConfigError: If this machine cannot train in that way.
        MissingDependencyError: If the package of a logger or a strategy is not installed.
    """
    train = config.train
    is_gpu = choose_device(train.accelerator, "train.accelerator").type != "cpu"
    if is_gpu and train.devices > (num_gpus := max(1, torch.cuda.device_count())):
        there = f"this machine has {num_gpus} GPU; give fewer, or train.accelerator=cpu"
        raise ConfigError(f"train.devices={train.devices} is not allowed: {there}")
    if train.precision == "16-mixed" and not is_gpu:
        advice = "float16 needs a GPU; give train.precision=bf16-mixed or 32-true"
        raise ConfigError(f"train.precision=16-mixed is not allowed: {advice}")
    return pl.Trainer(
        default_root_dir=run_folder,
        max_epochs=train.epochs,
        accelerator=train.accelerator,
        devices=train.devices,
        strategy=_strategy(train),
        precision=train.precision,
        callbacks=callbacks,
        logger=_loggers(config, run_folder),
        plugins=[AtomicCheckpointIO(), *([SharedStatistics(is_gpu=is_gpu)] if train.devices > 1 else [])],
        check_val_every_n_epoch=train.validate_every,
        accumulate_grad_batches=train.accumulate,
        gradient_clip_val=train.gradient_clip or None,
        num_sanity_val_steps=0,
        log_every_n_steps=LOG_EVERY_STEPS,
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _strategy(train: TrainConfig) -> str | Strategy:
    if train.strategy == "deepspeed_stage_2":
        require_package("train.strategy=deepspeed_stage_2", "deepspeed", "deepspeed")
        return DeepSpeedStageTwo()
    # a detector's clip classifier, or a tagger's frame classifier, takes part in no loss
    return "ddp_find_unused_parameters_true" if train.devices > 1 else "auto"


def _loggers(config: RunConfig, run_folder: Path) -> list[Logger]:
    """The table that curves are drawn from, and what `logger` names; all get the same values under the same names."""
    if is_first_process():
        _keep_old_metrics(run_folder)
    table: list[Logger] = [MetricsTable(run_folder, name="", version="")]
    if config.logger == "csv":
        return table
    try:
        if config.logger == "tensorboard":
            return [*table, TensorBoardLogger(run_folder, name="tensorboard", version="", default_hp_metric=False)]
        from pytorch_lightning.loggers import WandbLogger

        os.environ.setdefault("WANDB_MODE", "offline")  # no account asked for; WANDB_MODE=online changes it
        number = run_folder.name.split("_")[-1]
        return [*table, WandbLogger(name=run_folder.name, save_dir=run_folder, project="efficient_sed", id=number)]
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"logger={config.logger}", config.logger, config.logger) from error


def _keep_old_metrics(run_folder: Path) -> None:
    """Rename the table of an interrupted training: the logger would begin it anew."""
    current = run_folder / "metrics.csv"
    if current.is_file():
        current.rename(run_folder / f"metrics_part{1 + len(list(run_folder.glob('metrics_part*.csv')))}.csv")
