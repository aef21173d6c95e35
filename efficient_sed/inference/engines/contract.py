"""What an engine answers, and how one is chosen.

A new engine is a class under `@ENGINES.register("name")` in a file of this folder; what it needs is imported in its
methods, since the command line lists all engines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.registry import ENGINES

if TYPE_CHECKING:
    import numpy as np


class Engine(ABC):
    """An exported model that is ready to run.

    Args:
        model: An exported file or its content.
        num_threads: Of the engine; default None, as many as the machine has cores.

    Raises:
        CheckpointError: If the engine cannot read the model.
        ConfigError: If the engine is known to fail with this model.
        MissingDependencyError: If the engine's package is not installed.
    """

    name: ClassVar[str]
    """Set by the registry."""
    suffix: ClassVar[str]
    """Ending of the files that it runs, such as ".onnx"."""
    package: ClassVar[str] = ""
    """What computes, for its version in a measurement."""
    is_default: ClassVar[bool] = False
    """Whether it runs these files where no engine is named."""
    is_exact: ClassVar[bool] = True
    """Whether it computes in the precision of the file."""
    tolerance: ClassVar[float] = 0.0
    """What a self-test allows it at least, as a share of the highest score; of engines that are not exact."""
    can_fork: ClassVar[bool] = False
    """Whether a process may be forked after the model was opened."""

    metadata: Mapping[str, str]
    """What the file says about itself; see `inference/header.py`."""
    version: str
    """The engine and its version, such as "onnxruntime 1.22.0"."""

    @abstractmethod
    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None: ...

    @classmethod
    def is_emulated(cls) -> bool:
        """Whether this machine has no instructions for its precision, which makes it slow.

        Raises:
            MissingDependencyError: If the engine's package is not installed.
        """
        return False

    @abstractmethod
    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run the model once.

        Args:
            outputs: Names of what to compute, "frame_scores" or "clip_scores".
            inputs: Arrays by the name of the input: "waveform" (batch, samples) or "mel" (batch, 1, bands, frames).

        Returns:
            Frame scores (batch, classes, frames) or clip scores (batch, classes), in the order of `outputs`.

        Raises:
            CheckpointError: If the model does not have these names, or cannot be run.
        """


def engines_for(suffix: str) -> list[str]:
    """Names of the engines that run files of an ending, the default first."""
    found = [name for name in ENGINES.names() if ENGINES.get(name).suffix == suffix]
    return sorted(found, key=lambda name: not ENGINES.get(name).is_default)


def exact_engines(suffix: str) -> list[str]:
    """Those of them that compute in the precision of the file."""
    return [name for name in engines_for(suffix) if ENGINES.get(name).is_exact]


def exported_suffixes() -> list[str]:
    """Endings of the files that some engine runs."""
    return sorted({ENGINES.get(name).suffix for name in ENGINES.names()})


def is_exported(path: str | Path) -> bool:
    """Whether a path names an exported model, by its ending."""
    return Path(path).suffix in exported_suffixes()


def default_engine(path: str | Path) -> str:
    """Name of the engine that runs a file where none is named.

    Raises:
        CheckpointError: If no engine runs files of this ending.
    """
    names = engines_for(Path(path).suffix)
    if not names:
        raise CheckpointError(f"{path}: not an exported model; these end in {', '.join(exported_suffixes())}")
    return names[0]


def open_engine(model: Path | bytes, num_threads: int | None = None, engine: str | None = None) -> Engine:
    """Open an exported model.

    Args:
        model: An exported file, or its content.
        num_threads: Of the engine; default None, as many as the machine has cores.
        engine: Name of the engine, which content needs; default None, the default one for the file's ending.

    Raises:
        CheckpointError: If the engine cannot read the model.
        ConfigError: If there is no such engine, or it runs files of another ending.
        MissingDependencyError: If the engine's package is not installed.
    """
    if engine is None:
        if isinstance(model, bytes):
            raise ConfigError("engine=None is not allowed: content has no ending that one is known by")
        engine = default_engine(model)
    chosen: type[Engine] = ENGINES.get(engine)
    if isinstance(model, Path) and model.suffix != chosen.suffix:
        raise ConfigError(f"--engine {engine} runs {chosen.suffix} files, and {model} is none")
    return chosen(model, num_threads)


def shown_name(model: Path | bytes) -> str:
    """What messages call a model."""
    return str(model) if isinstance(model, Path) else "the exported graph"


def unreadable(model: Path | bytes, engine: str, kind: str, error: Exception) -> CheckpointError:
    """The error to raise if an engine cannot read a model.

    Args:
        model: The file or its content.
        engine: Its name.
        kind: What the file should be, such as "ONNX file".
        error: What the engine raised; its last line is quoted.
    """
    reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return CheckpointError(f"{shown_name(model)}: {engine} cannot read it, damaged or no {kind} ({reason})")
