"""Printing to the terminal: text and tables."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

PIPE_WIDTH = 160  # columns where there is no terminal to ask


def escape_unencodable() -> None:
    """Let the standard streams escape characters that their encoding lacks instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_text(text: str) -> None:
    """Print whole lines. JSON whose characters the standard output lacks stays JSON."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        with contextlib.suppress(ValueError):
            text = json.dumps(json.loads(text), indent=2) + "\n"
    sys.stdout.write(text)


def print_table(table: Any, *, is_error: bool = False) -> None:
    """Print a table of rich, as wide as the terminal; brackets in it are text, not markup.

    Args:
        table: The table.
        is_error: Print it on the standard error.
    """
    from rich.console import Console

    width = None if (sys.stderr if is_error else sys.stdout).isatty() else PIPE_WIDTH
    Console(width=width, markup=False, emoji=False, stderr=is_error).print(table)
