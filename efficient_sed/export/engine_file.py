"""A trained model as the exported file that an engine runs: the same scores, in less time on a CPU.

Those of weights in a file are kept in the cache folder, so that the next start needs no PyTorch.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from efficient_sed import __version__
from efficient_sed.config.evaluation import AUTO, TORCH
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.contract import ExportTarget
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.cache import home_folder
from efficient_sed.files.locks import locked
from efficient_sed.inference.detector import check_task
from efficient_sed.inference.engines.contract import Engine, is_exported
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.machine.environment import may_have_gpu, package_version
from efficient_sed.models.weights.cards import find_weights, list_cards
from efficient_sed.models.weights.download import checksum
from efficient_sed.models.weights.hub import local_file
from efficient_sed.registry import ENGINES, EXPORT_TARGETS

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
DEFAULT_ENGINE = "onnxruntime"  # the fastest on most CPUs, see benchmarks/README.md
TOLERANCE = 1e-5  # of a score
PAYS_FROM_S = 3600.0  # of sound: an export takes as long as an engine then saves, see benchmarks/README.md
SOURCES = ("audio/frontends", "export", "inference", "models")  # of this package, which decide what a file computes


def choose_file(name: str, engine: str, seconds: float = 0.0) -> tuple[str, str | None]:
    """What computes the scores of a model.

    Args:
        name: Released name, checkpoint file, model on the hub or exported model.
        engine: "torch", a name in `ENGINES`, or "auto": on a CPU onnxruntime, if it is installed and the file for it is
            there or pays.
        seconds: Of sound that will be scored, as far as it is known.

    Returns:
        The name or file to open as a detector, and the engine for it; None, its own.

    Raises:
        CheckpointError: If there are no such weights, or the engine has other scores than PyTorch.
        ConfigError: If there is no such engine, or it runs no such model.
        MissingDependencyError: If a named engine is not installed.
    """
    if is_exported(name):
        if engine == TORCH:
            raise ConfigError(f"{TORCH} runs no exported models, and {name} is one; name another engine, or none")
        return name, None if engine == AUTO else engine
    if engine == TORCH or (engine == AUTO and (may_have_gpu() or not is_installed(DEFAULT_ENGINE))):
        return name, None
    if engine != AUTO:
        return str(engine_file(name, engine)), engine
    weights = _weights(name)
    if not weights.is_file() or (seconds < PAYS_FROM_S and not _kept(weights, DEFAULT_ENGINE).is_file()):
        return name, None
    try:
        return str(engine_file(name, DEFAULT_ENGINE)), DEFAULT_ENGINE
    except CheckpointError as error:
        logger.warning("PyTorch computes the scores: %s", error)
        return name, None


def is_installed(engine: str) -> bool:
    """Whether models can be exported for an engine, and run by it."""
    packages = (ENGINES.get(engine).package, *_target(ENGINES.get(engine)).packages)
    return all(package_version(package) for package in packages)


def engine_file(name: str, engine: str) -> Path:
    """The file of a trained model for an engine, in the cache folder; made if it is not there.

    Args:
        name: Released name, checkpoint file or model on the hub.
        engine: Name in `ENGINES`.

    Raises:
        CheckpointError: If there are no such weights, the engine has other scores, or the file cannot be written.
        ConfigError: If there is no such engine, or it does not compute in float32.
        MissingDependencyError: Without a package of the engine.
    """
    ENGINES.get(engine)
    weights = _weights(name)
    path = _kept(weights, engine) if weights.is_file() else None
    if path is not None and path.is_file():
        return path
    from efficient_sed.models.weights.checkpoint import load_model

    model = load_model(name)
    check_task(model.provenance.task)
    path = _kept(weights, engine)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            if not path.is_file():  # of several processes the first one makes it
                write_atomically(path, engine_content(model, name, engine))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def engine_content(model: SedModel, name: str, engine: str) -> bytes:
    """A model as an engine runs it, with the scores of the PyTorch model for the same spectrograms.

    Args:
        model: The model; it is not changed.
        name: What messages call it.
        engine: Name in `ENGINES`.

    Raises:
        CheckpointError: If the model cannot be exported, or the engine's scores differ by more than 1e-5.
        ConfigError: If there is no such engine, or it does not compute in float32.
        MissingDependencyError: Without a package of the engine.
    """
    from efficient_sed.export.write import build_file

    chosen = ENGINES.get(engine)
    target = _target(chosen)()
    if not chosen.is_exact:
        advice = f"it is for exported files: efficient-sed export {name} --format {target.name}"
        raise ConfigError(f"engine={engine} is not allowed: it rounds scores more than PyTorch does; {advice}")
    target.check_packages()
    logger.info("%s: exporting it for %s", name, engine)
    _, content, difference = build_file(model, name, target, "mel" if model.frontend.steps() else "waveform", engine)
    if not difference <= TOLERANCE:
        problem = f"by {difference:.1e} in a score, where {TOLERANCE:g} is allowed"
        raise CheckpointError(f"{name}: {engine} differs from PyTorch {problem}")
    return content


def open_model(model: SedModel, name: str, engine: str, num_threads: int | None = None) -> ExportedModel:
    """A model in an engine, which gets the very spectrograms that PyTorch computes.

    Args:
        model: As for `engine_content`, as are the next two, and the errors.
        name: What messages call it.
        engine: Name in `ENGINES`.
        num_threads: Of the engine; default None, as many as the machine has cores.
    """
    import torch

    opened = ExportedModel(engine_content(model, name, engine), num_threads, engine)
    frontend = copy.deepcopy(model.frontend).cpu()
    if opened.spectrogram is not None:
        opened.spectrogram = lambda clip: frontend(torch.from_numpy(clip)).numpy()
    return opened


def _target(engine: type[Engine]) -> type[ExportTarget]:
    """The target that writes the files of an engine."""
    return next(
        cast("type[ExportTarget]", target)
        for name in EXPORT_TARGETS.names()
        if (target := EXPORT_TARGETS.get(name)).suffix == engine.suffix
    )


def _weights(name: str) -> Path:
    card = list_cards().get(name)
    return local_file(name) if card is None else find_weights(card)


def _kept(weights: Path, engine: str) -> Path:
    """Where the file of some weights is kept: by all that decides its content and whether it was verified."""
    chosen = ENGINES.get(engine)
    folder = Path(__file__).resolve().parents[1]
    sources = [path.stat() for part in SOURCES for path in sorted((folder / part).rglob("*.py"))]
    facts = (
        weights.name,
        checksum(weights),
        engine,
        package_version(chosen.package),
        __version__,
        [(source.st_size, source.st_mtime_ns) for source in sources],
    )
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return home_folder() / "engines" / f"{weights.stem}-{engine}-{digest}{chosen.suffix}"
