"""Folders and files of data that were typed, looked for before PyTorch is imported, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from efficient_sed._resources import resource_folder
from efficient_sed.config._text import Text, read_text, split_alternatives
from efficient_sed.errors import DataError

MADE = "synthetic"  # whose folder is made where there is none
FILES = ("data.pseudo_labels", "data.clip_teacher", "data.clip_teacher_index")


def check_places(overrides: Sequence[str], *, is_sweep: bool) -> None:
    """Raise a DataError if data, or a teacher's file, are to be read from where nothing is; of a sweep any of the alternatives."""
    typed = {key: value for key, is_value, value in (override.partition("=") for override in overrides) if is_value}
    if not is_sweep:  # alternatives are refused later, with what to type
        typed = {key: value for key, value in typed.items() if len(split_alternatives(value, Text.OPTIONAL)) == 1}
    if MADE not in _names(typed):
        for root in (Path(value) for value in _values(typed, "data.root") if value and not Path(value).exists()):
            raise DataError(f"data.root={root}: no such directory; give the folder of your data set as data.root=DIR")
    for key in FILES:
        for path in (Path(value) for value in _values(typed, key) if value and not Path(value).exists()):
            raise DataError(f"{key}={path}: no such file")


def _names(typed: dict[str, str]) -> set[str]:
    """The data sets that are meant."""
    if "data" in typed or "experiment" not in typed:
        return {name.strip() for name in typed.get("data", MADE).split(",")}
    found = {MADE}
    for name in typed["experiment"].split(","):
        path = resource_folder("configs") / "experiment" / f"{name.strip()}.yaml"
        if path.is_file() and (data := re.search(r"^ *- override /data: *(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)):
            found = found - {MADE} | {data[1]}
        else:
            return {MADE}
    return found


def _values(typed: dict[str, str], key: str) -> Iterator[str]:
    for piece in split_alternatives(typed[key], Text.OPTIONAL) if key in typed else ():
        value = read_text(f"{key}={piece}", Text.OPTIONAL)
        if isinstance(value, str):
            yield value
