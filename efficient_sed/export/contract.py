"""What an export target answers.

A new target is a class under `@EXPORT_TARGETS.register("name")` in a file of `efficient_sed/export/targets`; PyTorch
and the format's own package are imported in its methods, since the command line lists all targets. Its files are
checked by the default engine for their ending, see `efficient_sed/inference/engines`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, get_args

from efficient_sed.errors import CheckpointError, ConfigError, nearest, require_package
from efficient_sed.files.atomic import check_writable, write_atomically
from efficient_sed.inference.engines.contract import engines_for
from efficient_sed.inference.header import EXACT, Header, InputKind

if TYPE_CHECKING:
    import numpy as np

    from efficient_sed.models.sed import SedModel


class ExportTarget(ABC):
    """A file format that models are exported to."""

    name: ClassVar[str]
    """Set by the registry."""
    suffix: ClassVar[str]
    """Ending of its files, such as ".onnx"."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages that write and check a file."""
    extra: ClassVar[str] = ""
    """The extra of this package that installs them."""
    opset: ClassVar[int] = 0
    """Version of the format's operations, for the header; 0 where it has none."""
    precisions: ClassVar[Mapping[str, str]] = {EXACT: "float32 as in PyTorch"}
    """What each precision means, by its name; "fp32" is one of them."""
    inputs: ClassVar[tuple[InputKind, ...]] = get_args(InputKind)
    """What its files can take, the default first."""
    is_fixed: ClassVar[bool] = False
    """Whether its files take one clip at a time, of the length that the model was trained on."""
    run_time: ClassVar[str] = ""
    """What `--runtime` gives it a copy of, to be put beside its files; empty where it takes none."""

    def __init__(self, runtime: Path | None = None) -> None:
        self.runtime = runtime

    @abstractmethod
    def write(self, model: SedModel, header: Header) -> bytes:
        """The content of a file for any batch and length that the model takes at once, or for the header's only ones.

        Args:
            model: In evaluation mode, on the CPU, in float32, not fused.
            header: Says what the file takes, and is stored in it as metadata.

        Raises:
            CheckpointError: If the format lacks an operation of the model.
        """

    @abstractmethod
    def with_header(self, content: bytes, header: Header) -> bytes:
        """The content of a file with another header."""

    def quantise(
        self, model: SedModel, content: bytes, precision: str, calibration: Iterable[np.ndarray], header: Header
    ) -> bytes:
        """The content of a file in another precision.

        Args:
            model: As for `write`.
            content: In float32, as `write` returns it.
            precision: One of `precisions`, but "fp32".
            calibration: Inputs, one clip each, as `header.input` names them; read only if the precision needs them.
            header: As for `write`.

        Raises:
            ConfigError: If there is no clip to calibrate with, or nothing to quantise.
        """
        raise NotImplementedError(f"{type(self).__name__} lists precisions but does not quantise")

    def check_input(self, kind: str) -> None:
        """Check what a file is to take.

        Raises:
            ConfigError: If the format does not take that.
        """
        if kind not in self.inputs:
            allowed = f"{' or '.join(self.inputs)} with --format {self.name}"
            raise ConfigError(f"--input {kind} is not allowed: {allowed}")

    def check_precision(self, model: SedModel, precision: str) -> None:
        """Check a precision before a model is exported.

        Raises:
            ConfigError: If there is no such precision, or it changes nothing in the model.
        """
        if precision not in self.precisions:
            raise ConfigError(f"precision {precision!r} is not known; {nearest(precision, self.precisions)}")

    def check_output(self, path: Path, *, overwrite: bool) -> None:
        """Check before the work that what `save` writes can be written.

        Raises:
            CheckpointError: If it has another ending, is there and not to be overwritten, or cannot be written.
            MissingDependencyError: Without a package of the target.
        """
        if path.suffix != self.suffix:
            raise CheckpointError(
                f"{path}: {self.name} files are known by their ending; name it {path.stem}{self.suffix}"
            )
        check_free(path, overwrite=overwrite)
        try:
            check_writable(path)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
        self.check_packages()

    def check_packages(self) -> None:
        """Raise a MissingDependencyError without a package of the target."""
        for package in self.packages:
            require_package(f"export to {self.name}", package, self.extra)

    def save(self, path: Path, content: bytes, header: Header) -> int:
        """Write the content of a file as a whole; returns how many bytes were written.

        Raises:
            CheckpointError: If it cannot be written.
        """
        try:
            write_atomically(path, content)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
        return len(content)

    def advice(self, path: Path) -> list[str]:
        """What the command prints about using what was written."""
        return []

    @classmethod
    def engines(cls) -> list[str]:
        """Names of the engines that run its files; the first one checks them."""
        return engines_for(cls.suffix)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise a CheckpointError if something is there that is not to be overwritten."""
    if path.exists() and not overwrite:
        raise CheckpointError(f"{path}: is there already; give another name, or --force to overwrite it")
