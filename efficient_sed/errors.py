"""The errors a user can cause. The command line prints their message on one line and exits with status 2."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_COMPARABLE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 3, 130, 143  # of the commands
MAX_LISTED = 40  # names that a message still lists in full
# Control characters, line ends, spaces without width, changes of direction, surrogates; not what joins letters.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
MAX_MESSAGE = 1600  # characters; the middle of a longer message, where a value is quoted, is left out


class EfficientSedError(Exception):
    """Base of all errors with a message for the user: one line without control characters."""

    command_line_message: str | None = None
    """The message for the command line, if the usual one is about calls in Python."""

    def for_command_line(self) -> str:
        """Get the message for the command line."""
        return str(self) if self.command_line_message is None else str(EfficientSedError(self.command_line_message))

    def __str__(self) -> str:
        text = printable(super().__str__())
        return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 2 :]}"


class ConfigError(EfficientSedError):
    """A configuration key or value is not allowed."""


class DataError(EfficientSedError):
    """A file, an annotation or a data set cannot be used."""


class ShapeError(DataError, ValueError):
    """An array or tensor has the wrong shape."""


class CheckpointError(EfficientSedError):
    """A checkpoint cannot be found, read or fitted to the model."""


class PreemptedError(EfficientSedError):
    """A training was asked to stop and has saved its state."""


class DivergedError(EfficientSedError):
    """The model of a training gives values that are not finite."""


class LostProcessError(EfficientSedError):
    """One of several processes that share a training ended."""

    WORDS = (
        "another process of this training ended; unless it says why above, memory may have run out; "
        "the same command goes on from the last checkpoint"
    )

    def __init__(self, message: str = WORDS) -> None:
        super().__init__(message)


class MissingDependencyError(EfficientSedError):
    """An optional package is needed and not installed.

    Args:
        what: What needs it.
        package: Its name.
        extra: The extra of this package that installs it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install 'efficient-sed[{extra}]'")
        self.what, self.package, self.extra = what, package, extra

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str, str]]:
        """Pickle by the arguments, since the error may have to leave a worker process."""
        return type(self), (self.what, self.package, self.extra)


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Check a condition on an option.

    Args:
        condition: What must hold.
        key: Name of the option.
        value: What the user gave.
        allowed: What is allowed, for the message.

    Raises:
        ConfigError: If it does not hold; the message names key, value and what is allowed.
    """
    if not condition:
        typed = str(value).lower() if isinstance(value, bool) else value
        raise ConfigError(f"{key}={typed} is not allowed: {allowed}")


def require_package(what: str, package: str, extra: str) -> None:
    """Check before long work that a package is installed; arguments as for the error.

    Raises:
        MissingDependencyError: If it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(what, package, extra)


def printable(text: str) -> str:
    """Escape line breaks and control characters, such as those that colour or move the text of a terminal."""
    return _NOT_SHOWN.sub(lambda match: ascii(match[0])[1:-1], text)


def escape_json(text: str) -> str:
    """Escape in JSON text what a terminal should not receive; the JSON has the same meaning."""
    return _NOT_SHOWN.sub(lambda match: match[0] if match[0] < " " else f"\\u{ord(match[0]):04x}", text)


def is_printable(text: str) -> bool:
    """Whether a text is one line without control characters."""
    return _NOT_SHOWN.search(text) is None


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Create a hint for an unknown name, such as `did you mean 'tf'? allowed: attn, gru, tf`."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if len(names) <= MAX_LISTED:
        return f"{hint}allowed: {', '.join(names) or 'none'}"
    examples = list(dict.fromkeys((*close, *names)))[:3]
    return f"{hint}allowed: {len(names)} names, such as {', '.join(map(repr, examples))}"
