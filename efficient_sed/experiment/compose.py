"""Presets and `key=value` overrides -> RunConfig. The only file that imports Hydra."""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from efficient_sed.config.parse import run_config_from_dict
from efficient_sed.config.schema import (
    AugmentConfig,
    BenchmarkConfig,
    EvaluationConfig,
    RunConfig,
    TrainConfig,
    to_dict,
)
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.text_values import Text, read_text, split_alternatives, text_fields
from efficient_sed.files.packaged import presets, resource_folder
from efficient_sed.registry import BACKBONES, DATASETS, SEQUENCE_HEADS

GROUPS = {"backbone": BACKBONES, "seq": SEQUENCE_HEADS, "data": DATASETS}
DEFAULTS = {"backbone": "fmn10", "seq": "tf", "data": "synthetic"}
MAX_POINTS = 10_000  # of a grid
MODEL_KEY, SWEEP_KEY = "model", "sweep"
MARK = "text_of_override_"  # in place of a value that is not Hydra's to read
_ROOT = "efficient_sed"


def compose_run(overrides: Sequence[str]) -> RunConfig:
    """The configuration that overrides such as `seq=gru`, `train.epochs=5` or `experiment=NAME` describe.

    Raises:
        ConfigError: For anything that is not exactly one valid configuration.
    """
    overrides = expand_models(overrides)
    marked, texts = _mark_texts(overrides)
    _check_groups(overrides, marked, texts)
    _register()
    try:
        with initialize_config_dir(str(resource_folder("configs").resolve()), version_base="1.3"):
            composed = compose(_ROOT, overrides=marked)
        values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (
        HydraException,
        OmegaConfBaseException,
        yaml.YAMLError,
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        # a preset that is none, or a value of another kind where a group is, makes Hydra raise almost anything
        raise ConfigError(_explain(error)) from error
    try:
        config = run_config_from_dict(_restored(values, texts))
    except ConfigError as error:
        raise ConfigError(f"{error}{_untyped(str(error), overrides)}") from error
    for override in overrides:
        if override.endswith("=") and key_of(override) in text_keys():
            raise ConfigError(f"{override} is not allowed: it is empty; give {override}VALUE, or leave it out")
    return config


def _untyped(message: str, overrides: Sequence[str]) -> str:
    """Where a key comes from that a message is about and nobody typed."""
    typed = {key_of(override): override.split("=", 1)[1] for override in overrides}
    found = re.match(r"unknown key ([\w.]+)=", message)
    if found is None or found[1] in typed or "experiment" not in typed:
        return ""
    return f" (it stands in experiment={typed['experiment']}, which is for other data; leave the preset out, PRESET= with make)"


def expand_preset_grid(overrides: Sequence[str]) -> list[str]:
    """`sweep=NAME` as the overrides of the file `configs/sweep/NAME.yaml`; a key that is typed too takes the place of the file's.

    Raises:
        ConfigError: If there is no such grid.
    """
    typed = {key_of(override) for override in overrides}
    expanded: list[str] = []
    for override in overrides:
        if key_of(override) != SWEEP_KEY:
            expanded.append(override)
            continue
        name = override.partition("=")[2]
        if name not in presets("sweep"):
            raise ConfigError(f"unknown grid {override}; {nearest(name, presets('sweep'))}")
        path = resource_folder("configs") / "sweep" / f"{name}.yaml"
        lines = read_preset(path).get("grid")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise ConfigError(f"{path}: needs a list of key=value called grid")
        expanded += [line for line in lines if key_of(line) not in typed]
    return expanded


def read_preset(path: Path) -> dict[str, Any]:
    """The values of a file of presets.

    Raises:
        ConfigError: If it is none, or has tags or aliases: a few lines of these can stand for more values than memory holds.
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


def expand_models(overrides: Sequence[str]) -> list[str]:
    """`model=NAME` as the backbone, head and size that the name stands for; whatever follows it may change them further.

    Raises:
        ConfigError: If the name is not that of an architecture, or a part is chosen beside it.
    """
    from efficient_sed.models.names import model_overrides

    chosen = [override for override in overrides if key_of(override) in ("backbone", "seq")]
    expanded: list[str] = []
    for override in overrides:
        if key_of(override) != MODEL_KEY:
            expanded.append(override)
        elif chosen:
            raise ConfigError(
                f"{override} beside {chosen[0]}: the model's name says both its backbone and its head; give one of the two"
            )
        elif "=" not in override:
            raise ConfigError(f"{override!r} is not key=value")
        else:
            expanded += model_overrides(override.split("=", 1)[1])
    return expanded


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every point of a grid: comma lists are alternatives, in the order they are written.

    Raises:
        ConfigError: If an override cannot be parsed.
    """
    points: list[list[str]] = [[]]
    for override in overrides:
        values = _alternatives(override)
        if len(points) * len(values) > MAX_POINTS:
            raise ConfigError(f"{override}: the grid has more than {MAX_POINTS:,} points")
        points = [[*point, f"{override.split('=', 1)[0]}={value}"] for point in points for value in values]
    return points


def _alternatives(override: str) -> list[str]:
    """What a value of a grid stands for, each as it could be typed."""
    _check_form(override)
    value = override.partition("=")[2]
    if (kind := text_keys().get(key_of(override))) is not None:
        return split_alternatives(value, kind)
    if not _is_hydras(override):
        return [value]
    (parsed,) = _parse([override])
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
        cls: What the values are for.

    Raises:
        ConfigError: If such an override cannot be parsed, or is a list of alternatives.
    """
    prefix = f"{group}."
    taken = [override for override in overrides if key_of(override).startswith(prefix)]
    values: dict[str, Any] = {}
    texts = text_fields(cls)
    for override in taken:
        if len(_alternatives(override)) > 1:
            raise ConfigError(f"{override}: a sweep takes one value here")
        name = key_of(override).removeprefix(prefix)
        if name in texts or not _is_hydras(override):
            values[name] = read_text(override, texts.get(name, Text.ONE))
        else:
            values[name] = _parse([override])[0].value()
    return values, [override for override in overrides if override not in taken]


def to_yaml(config: RunConfig) -> str:
    """The effective configuration as text; `compose_run` takes any of its values as `key=value`."""
    text: str = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    return text


def key_of(override: str) -> str:
    """The key of `key=value`, without Hydra's leading + or ~."""
    return override.split("=", 1)[0].lstrip("+~")


@cache
def all_keys() -> dict[str, Text | None]:
    """Every key that a run may have, and which text it takes; none where it takes something else."""
    owners: dict[str, list[type[Any]]] = {"": [RunConfig]}
    for item in dataclasses.fields(RunConfig):
        if dataclasses.is_dataclass(item.default_factory):
            owners[f"{item.name}."] = [item.default_factory]
    owners |= {"train.augment.": [AugmentConfig]} | {
        f"{group}.": [registry.get(name) for name in registry.names()] for group, registry in GROUPS.items()
    }
    found: dict[str, Text | None] = {}
    for prefix, classes in owners.items():
        for cls in classes:
            texts = text_fields(cls)
            for item in dataclasses.fields(cls):
                key, kind = f"{prefix}{item.name}", texts.get(item.name)
                found[key] = kind if found.get(key, kind) == kind else None
    return found


def text_keys() -> dict[str, Text]:
    """Keys of a run whose values are taken as typed."""
    return {key: kind for key, kind in all_keys().items() if kind is not None}


def _check_form(override: str) -> None:
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


def _is_hydras(override: str) -> bool:
    """Whether Hydra can read the value; what it would replace, such as ${a}, is not for it."""
    if "${" in override:
        return False
    try:
        _parse([override])
    except ConfigError as error:
        if isinstance(error.__cause__, OverrideParseException):
            return False
        raise
    return True


def _mark_texts(overrides: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Overrides with a mark in place of each value that is text, or that Hydra cannot read, and these values by their mark."""
    marked, texts = [], {}
    for index, override in enumerate(overrides):
        _check_form(override)
        kind = text_keys().get(key_of(override))
        if override.startswith("~") or (kind is None and _is_hydras(override)):
            marked.append(override)
            continue
        texts[f"{MARK}{index}"] = read_text(override, kind) if kind is not None else override.partition("=")[2]
        marked.append(f"{override.partition('=')[0]}={MARK}{index}")
    return marked, texts


def _restored(values: Any, texts: dict[str, Any]) -> Any:
    if isinstance(values, dict):
        return {key: _restored(value, texts) for key, value in values.items()}
    return texts.get(values, values) if isinstance(values, str) else values


def _parse(overrides: Sequence[str]) -> list[Any]:
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
        raise ConfigError(_explain(error)) from error


def _check_groups(overrides: Sequence[str], marked: Sequence[str], texts: dict[str, Any]) -> None:
    """Unknown choices and keys, with the nearest name, before Hydra words it its own way."""
    for override, parsed in zip(overrides, _parse(marked), strict=True):
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
            hint = "" if "." in key else _meant(key, f"={override.partition('=')[2]}", cutoff=1.0 if is_slip else 0.8)
            raise ConfigError(f"unknown key {override}; {hint or nearest(key.split('.')[0], known)}")


def _meant(key: str, ending: str = "", cutoff: float = 0.8) -> str:
    """A hint such as `did you mean train.epochs?` for a key that belongs to another group, or whose group was left out."""
    last = key.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for known in all_keys():
        by_last.setdefault(known.rpartition(".")[2], []).append(known)
    meant = [
        known
        for close in difflib.get_close_matches(last, by_last, n=1, cutoff=cutoff)
        for known in sorted(by_last[close])
    ]
    return "" if key in meant or not meant else f"did you mean {' or '.join(f'{known}{ending}' for known in meant)}?"


def _register() -> None:
    """Hand the registered components to Hydra as groups of plain dictionaries."""
    store = ConfigStore.instance()
    for group, registry in GROUPS.items():
        for name in registry.names():
            entry = registry.get(name)
            defaults = {f.name: _plain_default(f) for f in dataclasses.fields(entry) if _has_default(f)}
            store.store(group=group, name=name, node={"name": name, **defaults})
    root: dict[str, Any] = {
        f.name: f.default for f in dataclasses.fields(RunConfig) if f.default is not dataclasses.MISSING
    }
    root |= {
        "train": to_dict(TrainConfig()),
        "evaluation": to_dict(EvaluationConfig()),
        "benchmark": to_dict(BenchmarkConfig()),
    }
    root["defaults"] = ["_self_", *({group: name} for group, name in DEFAULTS.items()), {"optional experiment": None}]
    store.store(name=_ROOT, node=root)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _plain_default(field: dataclasses.Field[Any]) -> Any:
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[operator]
    return list(value) if isinstance(value, tuple) else to_dict(value) if dataclasses.is_dataclass(value) else value


def _explain(error: Exception) -> str:
    """The first telling line of one of Hydra's errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    missing = re.search(r"Could not override '([^']+)'", str(error))
    if missing:
        return f"unknown key {missing[1]}; {_meant(missing[1], cutoff=1.0) or _keys_near(missing[1])}"
    return lines[0] if lines else type(error).__name__


def _keys_near(key: str) -> str:
    """What could have been meant by an unknown dotted key."""
    group, _, rest = key.partition(".")
    fields = {"train": TrainConfig, "evaluation": EvaluationConfig, "benchmark": BenchmarkConfig}.get(group)
    if key.startswith("train.augment."):
        return nearest(key.rsplit(".", maxsplit=1)[-1], [f.name for f in dataclasses.fields(AugmentConfig)])
    if fields is not None:
        return nearest(rest, [f.name for f in dataclasses.fields(fields)])
    if group in GROUPS:
        keys = {name: {f.name for f in dataclasses.fields(GROUPS[group].get(name))} for name in GROUPS[group].names()}
        owners = [f"{group}={name}" for name in keys if rest in keys[name]]
        if not owners:
            return f"no {GROUPS[group].kind} has such a key; {nearest(rest, set().union(*keys.values()))}"
        return f"the chosen {GROUPS[group].kind} has no such key ({', '.join(owners)} {'have' if len(owners) > 1 else 'has'} it)"
    return nearest(key, [f.name for f in dataclasses.fields(RunConfig)])
