"""What a command leaves on the terminal: tables, and its exit status."""

from __future__ import annotations

import sys
from typing import Any

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_COMPARABLE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 3, 130, 143
PIPE_WIDTH = 160  # columns where there is no terminal to ask


def print_table(table: Any) -> None:
    """Print what rich can draw, as wide as the terminal. Brackets in it are text."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, markup=False, emoji=False).print(table)
