"""The errors a user can cause. The command line prints their message on one line and exits with status 2."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_COMPARABLE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 3, 130, 143  # of the commands
MAX_LISTED = 40  # names that a message still lists in full
_NOT_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)  # controls, line ends, spaces of no width, turns of direction, half characters; not what joins letters
MAX_MESSAGE = 1600  # characters; of a longer one the middle, where a value is quoted, is left out


class EfficientSedError(Exception):
    """Base of every error whose message is meant for the user: one line that a terminal can show, whatever it quotes."""

    command_line_message: str | None = None
    """The same for who typed a command, where the message speaks of calls in Python."""

    def for_command_line(self) -> str:
        """The message for who typed a command."""
        return str(self) if self.command_line_message is None else str(EfficientSedError(self.command_line_message))

    def __str__(self) -> str:
        text = printable(super().__str__())
        return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 2 :]}"


class ConfigError(EfficientSedError):
    """A configuration key or value is not allowed."""


class DataError(EfficientSedError):
    """A file, an annotation or a data set cannot be used."""


class ShapeError(DataError, ValueError):
    """An array or tensor has another shape than is needed."""


class CheckpointError(EfficientSedError):
    """A checkpoint cannot be found, read or fitted to the model."""


class PreemptedError(EfficientSedError):
    """A training was asked to stop and has saved its state."""


class DivergedError(EfficientSedError):
    """A training's model gives no numbers any more."""


class LostProcessError(EfficientSedError):
    """One of several processes that share a training ended; why, it may have said itself."""

    WORDS = "another process of this training ended; unless it says why above, memory may have run out; the same command goes on from the last checkpoint"

    def __init__(self, message: str = WORDS) -> None:
        super().__init__(message)


class MissingDependencyError(EfficientSedError):
    """An optional package is needed and not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install 'efficient-sed[{extra}]'")
        self.what, self.package, self.extra = what, package, extra

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str, str]]:
        """Made anew from what it was made of: it may have to leave a worker process."""
        return type(self), (self.what, self.package, self.extra)


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise a ConfigError that names key, value and what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{key}={value} is not allowed: {allowed}")


def require_package(what: str, package: str, extra: str) -> None:
    """Raise a MissingDependencyError now if a package that is needed later is not installed."""
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(what, package, extra)


def printable(text: str) -> str:
    """Text with its line breaks and control characters, such as those that colour or move what a terminal shows, spelled out."""
    return _NOT_SHOWN.sub(lambda match: ascii(match[0])[1:-1], text)


def escape_json(text: str) -> str:
    """JSON that says the same, with what a terminal should not get spelled out."""
    return _NOT_SHOWN.sub(lambda match: match[0] if match[0] < " " else f"\\u{ord(match[0]):04x}", text)


def is_printable(text: str) -> bool:
    """Whether it stands on one line, and does nothing to a terminal."""
    return _NOT_SHOWN.search(text) is None


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint such as `did you mean 'tf'? allowed: attn, gru, tf` for an unknown name."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"{hint}allowed: {', '.join(names) or 'none'}"
        if len(names) <= MAX_LISTED
        else f"{hint}allowed: {len(names)} names, such as {', '.join(map(repr, names[:3]))}"
    )
