"""Libraries that print where no switch turns it off."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

STDERR = 2


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Drop what this process writes to its standard error, from C++ too; exceptions still carry their text."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 # the device has no path on Windows
        before = os.dup(STDERR)
        os.dup2(nowhere.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(before, STDERR)
            os.close(before)
