"""Values of `key=value` that are text.

They are taken as typed, with three exceptions: commas separate the alternatives of a sweep, quotes around the whole
keep commas, and `null` stands for None where None is allowed. A list is written `[a,b]`.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import types
import typing
from enum import Enum
from typing import Any

from efficient_sed.errors import ConfigError

_QUOTED = r"""\s*(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*"""
_ELEMENT = rf"(?:{_QUOTED}(?=[,\]])|[^,\]]*)"
_LIST = rf"\s*\[{_ELEMENT}(?:,{_ELEMENT})*\]\s*"
_END = r"(?=,|\Z)"
_ALTERNATIVE = {
    has_lists: re.compile(rf"{_QUOTED}{_END}|{f'{_LIST}{_END}|' if has_lists else ''}[^,]*", re.DOTALL)
    for has_lists in (False, True)
}
_IN_LIST = re.compile(_ELEMENT, re.DOTALL)


class Text(Enum):
    """What a key of text takes."""

    ONE, OPTIONAL, LIST = "one", "one or null", "one, several in brackets, or null"


def text_fields(cls: type[Any]) -> dict[str, Text]:
    """Fields of a configuration that hold text which is none of a few words."""
    hints, found = typing.get_type_hints(cls), {}
    for item in dataclasses.fields(cls):
        options = (
            typing.get_args(hints[item.name])
            if typing.get_origin(hints[item.name]) in (typing.Union, types.UnionType)
            else (hints[item.name],)
        )
        for option in options:
            if option is str:
                found[item.name] = Text.OPTIONAL if len(options) > 1 else Text.ONE
            elif typing.get_origin(option) is tuple and typing.get_args(option)[0] is str:
                found[item.name] = Text.LIST
    return found


def split_alternatives(value: str, kind: Text) -> list[str]:
    """What commas set apart, as typed; blanks around commas are left out."""
    pieces, position = [], 0
    while position <= len(value):
        match = typing.cast(
            re.Match[str], _ALTERNATIVE[kind is Text.LIST].match(value, position)
        )  # the last way matches nothing at all, too
        pieces.append(match[0])
        position = match.end() + 1
    return pieces if len(pieces) == 1 else [piece.strip() for piece in pieces]


def read_text(override: str, kind: Text) -> str | list[str] | None:
    """The value of one `key=value`.

    Raises:
        ConfigError: If commas make a list of alternatives of it.
    """
    key, _, value = override.partition("=")
    if len(split_alternatives(value, kind)) > 1:
        raise ConfigError(
            f"{override}: a list of alternatives is for `sweep`; a run takes one value; one that has commas takes "
            f"quotes: {advise(key, value)}"
        )
    if value == "null" and kind is not Text.ONE:
        return None
    if kind is Text.LIST and re.fullmatch(_LIST, value, re.DOTALL):
        inner = value.strip()[1:]
        return [] if inner == "]" else [_unquoted(piece.strip()) for piece in _elements(inner)]
    return _unquoted(value)


def advise(key: str, value: str) -> str:
    """What to type, in a shell, for exactly that text."""
    quote = '"' if "'" in value and '"' not in value else "'"
    escaped = re.sub(rf"([\\{quote}])", r"\\\1", value)
    typed = f"{key}={quote}{escaped}{quote}"
    return f'"{typed}"' if quote == "'" and not set(typed) & set('"$`\\!\n') else shlex.quote(typed)


def _elements(inner: str) -> list[str]:
    found, position = [], 0
    while position < len(inner):
        match = typing.cast(re.Match[str], _IN_LIST.match(inner, position))
        found.append(match[0])
        position = match.end() + 1
    return found


def _unquoted(value: str) -> str:
    if not re.fullmatch(_QUOTED, value, re.DOTALL):
        return value
    quoted = value.strip()
    return re.sub(rf"\\([\\{quoted[0]}])", r"\1", quoted[1:-1])
