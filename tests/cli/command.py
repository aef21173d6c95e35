"""A command as tests type it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

TSV = "filename\tonset\toffset\tevent_label\n"


class Output(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[[str], Output]
