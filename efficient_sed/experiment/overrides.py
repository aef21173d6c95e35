"""Single overrides `key=value`: which values Hydra reads, and which are text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException

from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.hints import explain
from efficient_sed.experiment.keys import all_keys, key_of, table_keys, text_keys
from efficient_sed.experiment.text_values import Text, read_text, split_alternatives, text_fields

MAX_POINTS = 10_000  # of a grid
MARK = "text_of_override_"  # stands for a value that is not Hydra's to read


def alternatives(override: str) -> list[str]:
    """What a value of a grid stands for, each as it could be typed."""
    check_form(override)
    value = override.partition("=")[2]
    if (kind := text_keys().get(key_of(override))) is not None:
        return split_alternatives(value, kind)
    if not is_hydras(override):
        return [value]
    (parsed,) = parse([override])
    try:
        return (
            list(islice(parsed.sweep_string_iterator(), MAX_POINTS + 1))
            if parsed.is_sweep_override()
            else [parsed.get_value_element_as_str()]
        )
    except HydraException as error:
        raise ConfigError(f"{override}: a grid takes comma lists only") from error


def take_group(overrides: Sequence[str], group: str, cls: type[Any]) -> tuple[dict[str, Any], list[str]]:
    """The values of the overrides `group.key=value`, by key, and the other overrides.

    Args:
        overrides: As they were typed.
        group: The first word of the keys.
        cls: The config class that the values are for.

    Raises:
        ConfigError: If such an override cannot be parsed, or is a list of alternatives.
    """
    prefix = f"{group}."
    taken = [override for override in overrides if key_of(override).startswith(prefix)]
    values: dict[str, Any] = {}
    texts = text_fields(cls)
    for override in taken:
        if len(alternatives(override)) > 1:
            raise ConfigError(f"{override}: a sweep takes one value here")
        name = key_of(override).removeprefix(prefix)
        if name in texts or not is_hydras(override):
            values[name] = read_text(override, texts.get(name, Text.ONE))
        else:
            values[name] = parse([override])[0].value()
    return values, [override for override in overrides if override not in taken]


def mark_texts(overrides: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Replace each value that is text, or that Hydra cannot read, by a mark.

    A table, too: Hydra would join it with that of a preset, and refuse new entries.

    Returns:
        The overrides with marks, and the replaced values by their mark.
    """
    marked, texts = [], {}
    for index, override in enumerate(overrides):
        check_form(override)
        kind = text_keys().get(key_of(override))
        if key_of(override) in table_keys() and is_hydras(override):
            (parsed,) = parse([override])
            if not parsed.is_sweep_override():
                texts[f"{MARK}{index}"] = parsed.value()
                marked.append(f"{override.partition('=')[0]}={MARK}{index}")
                continue
        if override.startswith("~") or (kind is None and is_hydras(override)):
            marked.append(override)
            continue
        texts[f"{MARK}{index}"] = read_text(override, kind) if kind is not None else override.partition("=")[2]
        marked.append(f"{override.partition('=')[0]}={MARK}{index}")
    return marked, texts


def restore_texts(values: Any, texts: dict[str, Any]) -> Any:
    """Composed values with the replaced values again in place of their marks."""
    if isinstance(values, dict):
        return {key: restore_texts(value, texts) for key, value in values.items()}
    return texts.get(values, values) if isinstance(values, str) else values


def parse(overrides: Sequence[str]) -> list[Any]:
    """By Hydra's grammar, in which every value is that can come here.

    Raises:
        ConfigError: Because of a key, or a value of a size that no parser takes.
    """
    try:
        return list(OverridesParser.create().parse_overrides(list(overrides)))
    except (RecursionError, ValueError) as error:  # ValueError: whole numbers of thousands of digits
        raise ConfigError(
            f"{max(overrides, key=len)}: cannot be parsed: nested too deeply, or too large a number"
        ) from error
    except OverrideParseException as error:
        raise ConfigError(
            f"{key_of(error.override)}=: not a key; {nearest(key_of(error.override), all_keys())}"
        ) from error
    except HydraException as error:
        raise ConfigError(explain(error)) from error


def check_form(override: str) -> None:
    """Raise a ConfigError unless it is key=value, in text that a result can keep."""
    if "=" not in override:
        raise ConfigError(f"{override!r} is not key=value")
    try:
        override.encode()
    except UnicodeEncodeError:
        is_utf8 = sys.getfilesystemencoding() == "utf-8"
        cure = (
            "rename it, or give a link to it that has another name"
            if is_utf8
            else "set PYTHONUTF8=1, so that names are read as UTF-8"
        )
        raise ConfigError(f"{override}: not UTF-8 text, which results are; {cure}") from None


def is_hydras(override: str) -> bool:
    """Whether Hydra can read the value; what it would replace, such as ${a}, is not for it."""
    if "${" in override:
        return False
    try:
        parse([override])
    except ConfigError as error:
        if isinstance(error.__cause__, OverrideParseException):
            return False
        raise
    return True
