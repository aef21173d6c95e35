"""Contexts around a training in which Lightning, or another process of it, would end this one in its own way."""

from __future__ import annotations

import contextlib
import functools
import logging
import signal
import warnings
from collections.abc import Iterator

import torch
from pytorch_lightning.trainer import trainer as lightning_trainer
from pytorch_lightning.utilities import rank_zero_only

from efficient_sed.config.training import TrainConfig
from efficient_sed.errors import LostProcessError

MEANT = (
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
"""Lightning's warnings about what is done here on purpose."""


def is_first_process() -> bool:
    """Whether this process is the one that evaluates and writes; the others only train."""
    rank = rank_zero_only.rank  # type: ignore[attr-defined]  # Lightning sets it from the launcher's environment
    return int(rank or 0) == 0


def configure_logging() -> None:
    """Quieten Lightning's loggers, and word its message about a process that ended as ours."""
    for name in ("pytorch_lightning", "lightning_fabric"):  # they set their own level when imported
        logging.getLogger(name).setLevel(logging.WARNING)
    observer = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")
    observer.setLevel(logging.INFO)
    observer.addFilter(_reword_lost_process)


def _reword_lost_process(record: logging.LogRecord) -> bool:
    """Lightning logs that a process was killed, and then kills this one."""
    if "terminated with code" in record.getMessage():
        record.msg, record.args = f"efficient-sed: {LostProcessError.WORDS}", ()
    return True


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore what Lightning warns of and what is meant."""
    with warnings.catch_warnings():
        for message in MEANT:
            warnings.filterwarnings("ignore", message=message)
        yield


@contextlib.contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt again: Lightning makes a SystemExit of it and ignores Ctrl-C from then on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from error


@contextlib.contextmanager
def without_cuda_seeding(train: TrainConfig) -> Iterator[None]:
    """Keep Lightning from reading the random state of GPUs in a training on a CPU: that opens a context on each GPU."""
    names = vars(lightning_trainer)
    isolate = names["isolate_rng"]
    if train.accelerator == "cpu":
        names["isolate_rng"] = functools.partial(isolate, include_cuda=False)
    try:
        yield
    finally:
        names["isolate_rng"] = isolate


@contextlib.contextmanager
def lost_processes(num_devices: int) -> Iterator[None]:
    """Raise a LostProcessError in the first process if another one no longer answers; the others end."""
    try:
        yield
    except RuntimeError as error:
        is_from_another = isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)
        if num_devices == 1 or not is_from_another:
            raise
        if not is_first_process():
            raise SystemExit(1) from error
        raise LostProcessError from error
