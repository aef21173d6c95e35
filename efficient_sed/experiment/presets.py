"""Presets, and the checks of what is chosen by name."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from efficient_sed.config.parse import GROUPS
from efficient_sed.config.run import RunConfig
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.hints import meant
from efficient_sed.experiment.keys import MODEL_KEY, SWEEP_KEY, key_of
from efficient_sed.experiment.overrides import parse
from efficient_sed.files.packaged import presets, resource_folder


def read_preset(path: Path) -> dict[str, Any]:
    """The values of a file of presets.

    Raises:
        ConfigError: If it is none, or has tags or aliases: a few lines of these can stand for more values than memory
            holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
                raise ConfigError(
                    f"{path}:{event.start_mark.line + 1}: tags and aliases of YAML are not allowed in a preset"
                )
        values = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a preset ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a preset (no keys with values)")
    return values


def check_choices(overrides: Sequence[str], marked: Sequence[str], texts: dict[str, Any]) -> None:
    """Unknown choices and keys, with the nearest name, before Hydra words it its own way."""
    for override, parsed in zip(overrides, parse(marked), strict=True):
        key, value = key_of(override), parsed.value()
        value = texts.get(value, value) if isinstance(value, str) else value
        if key == "seeds":
            raise ConfigError(f"{override}: seeds are for `sweep`; a run takes one, such as seed=0")
        if key == "folds" or (key, value) == ("data.fold", "all"):
            raise ConfigError(f"{override}: folds are for `sweep`, as folds=all; a run takes one, such as data.fold=1")
        if parsed.is_sweep_override():
            raise ConfigError(f"{override}: a list of alternatives is for `sweep`; a run takes one value")
        if key == SWEEP_KEY:
            raise ConfigError(f"{override}: a grid is for `sweep`; a run takes experiment=NAME")
        if key in ("data", "experiment") and str(value) in presets(key):
            read_preset(resource_folder("configs") / key / f"{value}.yaml")
        if key in GROUPS:
            choices = GROUPS[key].names() + (presets("data") if key == "data" else [])
            if str(value) not in choices:
                raise ConfigError(f"unknown {GROUPS[key].kind} {key}={value}; {nearest(str(value), choices)}")
        elif key == "experiment" and str(value) not in presets("experiment"):
            raise ConfigError(f"unknown preset experiment={value}; {nearest(str(value), presets('experiment'))}")
        elif key.split(".")[0] not in {field.name for field in dataclasses.fields(RunConfig)} | {"experiment"}:
            known = [*(field.name for field in dataclasses.fields(RunConfig)), "experiment", MODEL_KEY]
            is_slip = bool(difflib.get_close_matches(key, known, n=1, cutoff=0.8))
            hint = "" if "." in key else meant(key, f"={override.partition('=')[2]}", cutoff=1.0 if is_slip else 0.8)
            raise ConfigError(f"unknown key {override}; {hint or nearest(key.split('.')[0], known)}")
