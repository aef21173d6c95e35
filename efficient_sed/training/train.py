"""Fit a model by a run's configuration; resumes where the run's folder left off."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.trainer import trainer as lightning_trainer
from pytorch_lightning.utilities import rank_zero_only

from efficient_sed.config.schema import RunConfig, TrainConfig
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.events import Splits
from efficient_sed.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    LostProcessError,
    MissingDependencyError,
    require_package,
)
from efficient_sed.machine.environment import choose_device, device_name
from efficient_sed.machine.memory import enough_memory
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.models.weights.checkpoint import load_model
from efficient_sed.models.weights.initial import load_initial, load_initial_model
from efficient_sed.models.weights.read import check_archive
from efficient_sed.training.callbacks import (
    AtomicCheckpointIO,
    AveragedWeights,
    EpochTimer,
    MovableCheckpoint,
    Patience,
    ProgressFile,
    StopOnSignal,
    TrainingBar,
)
from efficient_sed.training.deepspeed import DeepSpeedStageTwo
from efficient_sed.training.metrics_table import MetricsTable
from efficient_sed.training.module import LOG_EVERY_STEPS, SedModule
from efficient_sed.training.shared_norm import SharedStatistics

logger = logging.getLogger(__name__)
LAST_CHECKPOINT, BEST_CHECKPOINT = "last.ckpt", "best.ckpt"
LIGHTNING_ADVICE = (  # warnings about what is meant here
    r".*does not have many workers",
    r".*not empty",
    r".*number of training batches",
    r".*lr_scheduler\.step\(\)",
    r"You're resuming from a checkpoint that ended before the epoch ended",
    r"The `srun` command is available on your system",
    r"GPU available but not used",  # as train.accelerator=cpu asks for
    r"It is recommended to use `self\.log\(.*sync_dist",  # for values that are the same in all processes
    r"`training_step` returned `None`",  # a batch of which no file can be read, with data.on_error=skip
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own, with torch 2.11
)


def build_model(config: RunConfig, classes: tuple[str, ...]) -> SedModel:
    """The run's model before training: random from its seed, but for what `backbone.init` or `train.init_from` gives.

    Raises:
        CheckpointError: If the initial weights cannot be had or hold another backbone or model.
    """
    torch.manual_seed(config.seed)
    model = SedModel(ModelSpec(config.backbone, config.seq, classes))
    model.provenance = Provenance(config.data.clip_seconds, config.data.median_frames, config.task)
    load_initial(model.backbone, config.backbone)
    if config.train.init_from is not None:
        load_initial_model(model, config.train.init_from)
    return model


@contextlib.contextmanager
def _reraise_keyboard_interrupt() -> Iterator[None]:
    """A KeyboardInterrupt again, of which Lightning makes a SystemExit; it ignores Ctrl-C from then on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from error


def fit(config: RunConfig, splits: Splits, run_folder: Path, *, show_progress: bool) -> tuple[SedModel, dict[str, Any]]:
    """Train, and return the model of the epoch that `train.select` names with facts on the training.

    Args:
        run_folder: Holds `last.ckpt` (resumed from, if there), `best.ckpt`, logs and progress.
        show_progress: Draw a progress bar on the terminal.

    Raises:
        DataError: If the training part is smaller than one batch can use, or a file cannot be read.
        CheckpointError: If a checkpoint cannot be written, is damaged, or does not fit.
        LostProcessError: If another process of this training ended.
    """
    for chatty in ("pytorch_lightning", "lightning_fabric"):  # they set their own level when imported
        logging.getLogger(chatty).setLevel(logging.WARNING)
    observer = logging.getLogger(
        "lightning_fabric.strategies.launchers.subprocess_script"
    )  # which ends this process where another one was killed
    observer.setLevel(logging.INFO)
    observer.addFilter(_tell_lost)
    pl.seed_everything(config.seed, verbose=False)
    with enough_memory(
        "while loading",
        "choose a smaller model or teacher, or let the teacher write what it hears first: efficient-sed pseudo-label",
    ):
        model = build_model(config, splits.classes)
        module = SedModule(model, config)
    data = SedDataModule(config, splits, model.grid)
    monitor, mode = ("val/loss", "min") if config.train.select == "lowest_loss" else (module.monitor, "max")
    best_checkpoint = MovableCheckpoint(
        run_folder, filename=Path(BEST_CHECKPOINT).stem, monitor=monitor, mode=mode, enable_version_counter=False
    )
    # one of its own: Lightning's save_last writes only in epochs that are the best so far
    last_checkpoint = MovableCheckpoint(
        run_folder, filename=Path(LAST_CHECKPOINT).stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    last = run_folder / LAST_CHECKPOINT
    _check_whole(run_folder)
    averaged = [AveragedWeights(config.train.ema_decay)] if config.train.ema_decay else []  # before what saves
    callbacks: list[pl.Callback] = [
        *averaged,
        best_checkpoint,
        last_checkpoint,
        StopOnSignal(last),
        ProgressFile(run_folder, module.monitor, is_logged=not show_progress),
    ]
    callbacks.append(LearningRateMonitor("step"))
    callbacks.append(timer := EpochTimer())
    if config.train.patience is not None:
        callbacks.append(Patience(monitor, patience=config.train.patience, mode=mode))
    if show_progress:
        callbacks.append(TrainingBar())
    if last.is_file():
        logger.info("resuming from %s", last)
    with warnings.catch_warnings():
        for advice in LIGHTNING_ADVICE:
            warnings.filterwarnings("ignore", message=advice)
        trainer = _trainer(config, run_folder, callbacks, show_progress)
        try:
            advice = "try a smaller one, or a smaller model or teacher"
            with (
                _reraise_keyboard_interrupt(),
                _without_cuda_seeding(config.train),
                enough_memory(f"in a training with train.batch_size={config.train.batch_size}", advice),
            ):
                trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
        except RuntimeError as error:
            if config.train.devices == 1 or not _is_from_another(error):
                raise
            if not trainer.is_global_zero:
                raise SystemExit(1) from error
            raise LostProcessError from error
    if not trainer.is_global_zero:
        raise SystemExit(0)
    if not (run_folder / BEST_CHECKPOINT).is_file():
        if best_checkpoint.best_model_score is not None:
            raise CheckpointError(
                f"{run_folder / BEST_CHECKPOINT}: is gone; put it back, or delete {LAST_CHECKPOINT} beside it, too, and the run begins anew"
            )
        raise DataError(f"{run_folder}: training ended without a validation; is every validation file unreadable?")
    device = trainer.strategy.root_device  # after `fit`, Lightning has moved the module back to the CPU
    model = load_model(str(kept_checkpoint(config, run_folder))).to(device)
    facts = {
        "select": config.train.select,
        "best_score": float(best_checkpoint.best_model_score or 0.0),
        "monitor": monitor,
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds_per_epoch": timer.seconds_per_epoch,
        "num_with_teacher": len(data.splits.train) if module.teacher else data.num_with_teacher,
        "num_weak": len(splits.weak) if config.train.weak_share else 0,
        "teacher": module.teacher.fingerprint if module.teacher else None,
        "unreadable": sorted(set(module.unreadable)),
        "device": device_name(device),
    }
    return model, facts


@contextlib.contextmanager
def _without_cuda_seeding(train: TrainConfig) -> Iterator[None]:
    """Keep Lightning from reading the random state of GPUs, which opens a context on each, where it trains on a CPU."""
    names = vars(lightning_trainer)
    isolate = names["isolate_rng"]
    if train.accelerator == "cpu":
        names["isolate_rng"] = functools.partial(isolate, include_cuda=False)
    try:
        yield
    finally:
        names["isolate_rng"] = isolate


def kept_checkpoint(config: RunConfig, run_folder: Path) -> Path:
    """What holds the epoch that `train.select` names."""
    return run_folder / (LAST_CHECKPOINT if config.train.select == "last" else BEST_CHECKPOINT)


def _check_whole(run_folder: Path) -> None:
    """Raise a CheckpointError before anything is trained on, or for the sake of, a damaged checkpoint."""
    for path in (run_folder / LAST_CHECKPOINT, run_folder / BEST_CHECKPOINT):
        if path.is_file():
            try:
                check_archive(path)
            except PermissionError as error:  # it may be whole
                raise CheckpointError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
            except Exception as error:  # a damaged archive raises almost anything
                cause = " ".join(str(error).split())
                raise CheckpointError(
                    f"{path}: damaged ({cause}); put a copy of it back, or delete {LAST_CHECKPOINT} and {BEST_CHECKPOINT}, and the run begins anew"
                ) from error


def _tell_lost(record: logging.LogRecord) -> bool:
    """Put what Lightning says of a process that ended, before it kills this one, into our words."""
    if "terminated with code" in record.getMessage():
        record.msg, record.args = f"efficient-sed: {LostProcessError.WORDS}", ()
    return True


def _is_from_another(error: RuntimeError) -> bool:
    """Whether an error says that another process no longer answers, on GPUs or on CPUs."""
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)


def is_first_process() -> bool:
    """Whether this process is the one that evaluates and writes; the others only train."""
    return int(rank_zero_only.rank or 0) == 0  # type: ignore[attr-defined]  # Lightning sets it from what the launcher left in the environment


def follow(config: RunConfig, splits: Splits, run_folder: Path) -> NoReturn:
    """Train as one of the further processes that the first one started, then end."""
    fit(config, splits, run_folder, show_progress=False)
    raise SystemExit(0)


def _strategy(train: TrainConfig) -> str | DeepSpeedStageTwo:
    if train.strategy == "deepspeed_stage_2":
        require_package("train.strategy=deepspeed_stage_2", "deepspeed", "deepspeed")
        return DeepSpeedStageTwo()
    # a detector's clip classifier, or a tagger's frame classifier, takes part in no loss
    return "ddp_find_unused_parameters_true" if train.devices > 1 else "auto"


def _trainer(config: RunConfig, run_folder: Path, callbacks: list[pl.Callback], show_progress: bool) -> pl.Trainer:
    train = config.train
    is_gpu = choose_device(train.accelerator, "train.accelerator").type != "cpu"
    if is_gpu and train.devices > (num_gpus := max(1, torch.cuda.device_count())):
        raise ConfigError(
            f"train.devices={train.devices} is not allowed: this machine has {num_gpus} GPU; give fewer, or train.accelerator=cpu"
        )
    if train.precision == "16-mixed" and not is_gpu:
        raise ConfigError(
            "train.precision=16-mixed is not allowed: float16 needs a GPU; give train.precision=bf16-mixed or 32-true"
        )
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


def _keep_old_metrics(run_folder: Path) -> None:
    """Put the table of an interrupted training aside: the logger would begin it anew."""
    current = run_folder / "metrics.csv"
    if current.is_file():
        current.rename(run_folder / f"metrics_part{1 + len(list(run_folder.glob('metrics_part*.csv')))}.csv")


def _loggers(config: RunConfig, run_folder: Path) -> list[Logger]:
    """The table that curves are drawn from, and beside it what `logger` names: all get the same values under the same names."""
    if is_first_process():
        _keep_old_metrics(run_folder)
    table = MetricsTable(run_folder, name="", version="")
    if config.logger == "csv":
        return [table]
    if config.logger == "tensorboard":
        try:
            return [table, TensorBoardLogger(run_folder, name="tensorboard", version="", default_hp_metric=False)]
        except ModuleNotFoundError as error:
            raise MissingDependencyError("logger=tensorboard", "tensorboard", "tensorboard") from error
    os.environ.setdefault("WANDB_MODE", "offline")  # no account asked for; WANDB_MODE=online changes it
    try:
        from pytorch_lightning.loggers import WandbLogger

        return [
            table,
            WandbLogger(
                name=run_folder.name, save_dir=run_folder, project="efficient_sed", id=run_folder.name.split("_")[-1]
            ),
        ]
    except ModuleNotFoundError as error:
        raise MissingDependencyError("logger=wandb", "wandb", "wandb") from error
