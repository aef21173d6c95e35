"""Names of what a training leaves in its run's folder, and whether its checkpoints are whole."""

from __future__ import annotations

from pathlib import Path

from efficient_sed.config.run import RunConfig
from efficient_sed.errors import CheckpointError
from efficient_sed.models.weights.read import check_archive

LAST_CHECKPOINT, BEST_CHECKPOINT = "last.ckpt", "best.ckpt"
PROGRESS_FILE = "progress.json"


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
