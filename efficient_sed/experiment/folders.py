"""The folder of a run: named by what decides its training, found again, and used by one process at a time.

Two kinds of options are told apart. What decides a training is part of its signature, and a run of another signature
is another training. What only measures (`benchmark.*`, `evaluation.*`) and where and how the work is done
(`output_dir`, `logger`, `data.root`, `data.num_workers`, `train.accelerator`, `train.strategy`, `train.devices`) is
not: with other values the finished run is found, and measured again if it has to be.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from efficient_sed.config.data import DataConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.repeats import HOW_TO_TRAIN
from efficient_sed.experiment.result_file import RESULT_FILE
from efficient_sed.files.locks import locked
from efficient_sed.models.names import model_name
from efficient_sed.training.curves import METRICS_FILE
from efficient_sed.training.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT

CONFIG_FILE, MANIFEST_FILE, LOCK_FILE = "config.yaml", "manifest.txt", ".lock"
SIGNATURE_DIGITS = 12
EARLIER_SIGNATURE = re.compile(r"_[0-9a-f]{10}")
"""End of a folder's name when signatures still covered the measuring options and the place of the data."""


@functools.cache
def content_hash(data: DataConfig) -> str:
    """The manifest hash of a data set, which a process reads once: data do not change while a command runs.

    It costs one reading of every audio file (a SHA-256), or nothing where an index of the data set or a packed file
    keeps the hashes. Synthetic data are generated first if they are not there.

    Raises:
        DataError: If the data cannot be loaded.
    """
    return data.load().manifest_hash


def deciding_values(config: RunConfig, manifest_hash: str) -> dict[str, Any]:
    """The values that decide a training, as plain containers.

    Data count by their content and not by the folder they lie in (`DataConfig.location_keys`), with these options:

    - `data.clip_seconds`, `data.channel` and `data.on_error` decide what the model is shown.
    - `data.fold` and other keys that share clips out decide which clips are learnt; the hash of a collection with
      folds is the same for all of them.
    - `data.median_frames` is post-processing, but it decides as well: validation scores are computed with it, so it
      chooses the best epoch (`train.select=best`), and the model file carries it for `detect`.
    - `data.pseudo_labels` and `data.clip_teacher` count by their path. Reading gigabytes of a teacher's scores before
      every start would cost more than it saves.

    `evaluation.*` is left out, although `train.select=best` chooses the epoch by a score that these options define. A
    run that is evaluated again with others keeps its epoch, and `result.json` says in "training" with which ones the
    epoch was chosen.

    Args:
        config: The run.
        manifest_hash: `Splits.manifest_hash` of its data.
    """
    values = to_dict(config)
    for key in ("output_dir", "logger", "benchmark", "evaluation"):
        del values[key]
    for key in HOW_TO_TRAIN:
        del values["train"][key]
    data = {key: value for key, value in config.data.identity().items() if key not in config.data.location_keys}
    return {**values, "data": {**data, "name": config.data.name, "content": manifest_hash}}


def signature(config: RunConfig, manifest_hash: str | None = None) -> str:
    """Twelve hexadecimal digits that name a training; see `deciding_values`.

    Args:
        config: The run.
        manifest_hash: `Splits.manifest_hash` of its data; default None, read from the data.
    """
    values = deciding_values(config, content_hash(config.data) if manifest_hash is None else manifest_hash)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:SIGNATURE_DIGITS]


def run_folder(config: RunConfig, manifest_hash: str | None = None) -> Path:
    """The folder of a run: the one that was begun, or else the one that it will be begun in.

    A folder of an earlier version of this program carries an older signature. It is found by the configuration and
    the manifest hash that it holds.

    Args:
        config: The run.
        manifest_hash: `Splits.manifest_hash` of its data; default None, read from the data.
    """
    manifest_hash = content_hash(config.data) if manifest_hash is None else manifest_hash
    own = signature(config, manifest_hash)
    fold = fold_of_config(config)
    data = config.data.name if fold is None else f"{config.data.name}-fold{fold}"
    start = f"{model_name(config)}_{data}_seed{config.seed}"
    folder = Path(config.output_dir) / f"{start}_{own}"
    if folder.exists():
        return folder
    earlier = [
        (*_preference(stored, path, config), path)
        for path in _children(Path(config.output_dir), start)
        if (stored := _stored_config(path)) is not None and signature(stored, _stored_hash(path)) == own
    ]
    return min(earlier)[-1] if earlier else folder


def fold_of_config(config: RunConfig) -> int | None:
    """The fold of its data that a run is tested on; None where there are no folds."""
    return getattr(config.data, "fold", None)


def _children(output: Path, start: str) -> Iterator[Path]:
    """Folders of an earlier version that may hold the run."""
    with contextlib.suppress(OSError):
        for path in sorted(output.iterdir()):
            if path.name.startswith(start) and EARLIER_SIGNATURE.fullmatch(path.name.removeprefix(start)):
                yield path


def _preference(stored: RunConfig, folder: Path, config: RunConfig) -> tuple[bool, bool]:
    """Sorts a run that was measured in the same way first, then one that is finished."""
    is_same = (stored.evaluation, stored.benchmark) == (config.evaluation, config.benchmark)
    return not is_same, not (folder / RESULT_FILE).is_file()


def _stored_config(folder: Path) -> RunConfig | None:
    try:
        return from_dict(RunConfig, yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError, ConfigError):
        return None  # not a folder of a run, or one whose options no longer exist


def _stored_hash(folder: Path) -> str:
    try:
        return (folder / MANIFEST_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def locked_folder(folder: Path, config: RunConfig) -> Iterator[None]:
    """Make a run's folder and keep other processes out of it; the lock ends with the process, however that ends.

    A folder that is made here is removed again if the block fails before anything was learnt.

    Raises:
        DataError: If another process has the folder, or it cannot be written.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / LOCK_FILE, waits=False))
        except TimeoutError as error:
            raise DataError(f"{folder}: another process is training this run; wait for it or stop it") from error
        except OSError as error:
            raise unwritable(config, error) from error
        try:
            yield
        except BaseException:
            progress = (LAST_CHECKPOINT, BEST_CHECKPOINT, METRICS_FILE)
            if folder in made and not any((folder / name).exists() for name in progress):
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # another run may have begun there meanwhile
                    for place in made[1:]:
                        place.rmdir()
            raise


def unwritable(config: RunConfig, error: OSError) -> DataError:
    """The error for an output folder that cannot be written."""
    place = f"output_dir={config.output_dir}: cannot be written ({error.strerror})"
    return DataError(f"{place}; give a writable folder as output_dir=DIR")
