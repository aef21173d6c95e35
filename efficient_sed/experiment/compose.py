"""Presets and `key=value` overrides -> RunConfig, by Hydra."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from efficient_sed.config.parse import GROUPS, from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.expand import expand_models
from efficient_sed.experiment.hints import explain, preset_hint
from efficient_sed.experiment.keys import key_of, option_groups, text_keys
from efficient_sed.experiment.overrides import mark_texts, restore_texts
from efficient_sed.experiment.presets import check_choices
from efficient_sed.files.packaged import resource_folder

DEFAULTS = {"backbone": "fmn10", "seq": "tf", "data": "synthetic"}
_ROOT = "efficient_sed"


def compose_run(overrides: Sequence[str]) -> RunConfig:
    """The configuration that overrides such as `seq=gru`, `train.epochs=5` or `experiment=NAME` describe.

    Raises:
        ConfigError: For anything that is not exactly one valid configuration.
    """
    overrides = expand_models(overrides)
    marked, texts = mark_texts(overrides)
    check_choices(overrides, marked, texts)
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
        raise ConfigError(explain(error)) from error
    try:
        config = from_dict(RunConfig, restore_texts(values, texts))
    except ConfigError as error:
        raise ConfigError(f"{error}{preset_hint(str(error), overrides)}") from error
    for override in overrides:
        if override.endswith("=") and key_of(override) in text_keys():
            raise ConfigError(f"{override} is not allowed: it is empty; give {override}VALUE, or leave it out")
    return config


def to_yaml(config: RunConfig) -> str:
    """The effective configuration as text; `compose_run` takes any of its values as `key=value`."""
    text: str = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    return text


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
    root |= {name: to_dict(cls()) for name, cls in option_groups().items()}
    root["defaults"] = ["_self_", *({group: name} for group, name in DEFAULTS.items()), {"optional experiment": None}]
    store.store(name=_ROOT, node=root)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _plain_default(field: dataclasses.Field[Any]) -> Any:
    has_default = field.default is not dataclasses.MISSING
    value = field.default if has_default else field.default_factory()  # type: ignore[operator]
    return list(value) if isinstance(value, tuple) else to_dict(value) if dataclasses.is_dataclass(value) else value
