"""What a training leaves in its run's folder: checkpoints, which may be damaged, and its progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from efficient_sed.config.run import RunConfig
from efficient_sed.errors import CheckpointError
from efficient_sed.machine.progress import clock
from efficient_sed.models.weights.read import check_archive

LAST_CHECKPOINT, BEST_CHECKPOINT = "last.ckpt", "best.ckpt"
PROGRESS_FILE = "progress.json"
STOP_FILE = "stop"
"""Another process writes it to stop a training after its epoch."""
LOG_EVERY_S = 10.0
"""Between two lines about the progress of a training, where there is no terminal to draw on."""


def kept_checkpoint(config: RunConfig, run_folder: Path) -> Path:
    """The checkpoint of the epoch that `train.select` names."""
    return run_folder / (LAST_CHECKPOINT if config.train.select == "last" else BEST_CHECKPOINT)


def check_checkpoints(run_folder: Path) -> None:
    """Raise a CheckpointError if a checkpoint of the folder is damaged or cannot be read."""
    for path in (run_folder / LAST_CHECKPOINT, run_folder / BEST_CHECKPOINT):
        if not path.is_file():
            continue
        try:
            check_archive(path)
        except PermissionError as error:  # it may be whole
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
        except Exception as error:  # a damaged archive raises almost anything
            cause = " ".join(str(error).split())
            advice = (
                f"put a copy of it back, or delete {LAST_CHECKPOINT} and {BEST_CHECKPOINT}, and the run begins anew"
            )
            raise CheckpointError(f"{path}: damaged ({cause}); {advice}") from error


def describe_progress(progress: Mapping[str, float | None]) -> str:
    """Where a training stands, in a few words."""
    score = "" if progress["score"] is None else f", last validation {progress['score']:.3f}"
    loss = "" if progress["loss"] is None else f", loss {progress['loss']:.3f}"
    left = "" if progress["eta_s"] is None else f", {clock(progress['eta_s'])} of training left"
    step = f"step {progress['step']}/{progress['steps']}"
    return f"epoch {progress['epoch']}/{progress['epochs']}, {step}{loss}{score}{left}"
