"""The grammar of model names: `<backbone>[+<head>-<hidden>][_<weights tag>]`, or a published system's own name."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from efficient_sed.config.model import BackboneConfig, SequenceHeadConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.errors import ConfigError
from efficient_sed.models.systems import SYSTEMS
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

GRAMMAR = (
    "a model is named <backbone>[+<head>-<hidden>], such as fmn10 or fmn10+tf-256, "
    "or is a system such as dnd-dnd-k7-d10"
)
_REST = re.compile(r"(?:\+(?P<head>[^+_-]+)-(?P<hidden>\d+))?(?:_(?P<tag>.+))?")


class ParsedName(NamedTuple):
    """A model's parts and the tag of its weights, if the name has one."""

    backbone: BackboneConfig
    seq: SequenceHeadConfig
    tag: str | None

    @property
    def architecture(self) -> str:
        """The name without its weights tag."""
        return architecture_name(self.backbone, self.seq)


def architecture_name(backbone: BackboneConfig, seq: SequenceHeadConfig, crop_seconds: float | None = None) -> str:
    """A model's name: that of the first system that has these parts, else `<backbone>[+<head>-<hidden>]`.

    Args:
        backbone: Its backbone.
        seq: Its sequence head.
        crop_seconds: Length of the excerpts that it is trained on, default None: any. It distinguishes systems
            that differ in nothing else; with a length that none of them has the model is none of them.
    """
    named = {name: keys for name, keys in SYSTEMS.items() if _is_made_of(keys, backbone, seq)}
    if named:
        if crop_seconds is None:
            return next(iter(named))
        for name, keys in named.items():
            if keys.get("train.crop_seconds", crop_seconds) == crop_seconds:
                return name
    hidden = getattr(seq, "hidden", None)
    return backbone.name if hidden is None else f"{backbone.name}+{seq.name}-{hidden}"


def model_name(config: RunConfig) -> str:
    """Name of the model that a run trains."""
    return architecture_name(config.backbone, config.seq, config.train.crop_seconds or config.data.clip_seconds)


def parse_name(name: str) -> ParsedName:
    """Parts of a name, strictly.

    Raises:
        ConfigError: If the name does not follow the grammar or a part is unknown; the message shows the nearest name
            and the list.
    """
    start = _known_start(name, [*SYSTEMS, *BACKBONES.names()])
    match = _REST.fullmatch(name.removeprefix(start))
    if not start or match is None or (start in SYSTEMS and match["head"] is not None):
        raise ConfigError(f"{name!r} is not a model name: {GRAMMAR}")
    try:
        if start in SYSTEMS:
            return ParsedName(*_parts(SYSTEMS[start]), match["tag"])
        if system := difflib.get_close_matches(start, SYSTEMS, n=1, cutoff=0.8):
            raise ConfigError(f"no system {start!r}; did you mean {system[0]!r}?")
        backbone = BACKBONES.get(start)()
        if match["head"] is None:
            return ParsedName(backbone, SEQUENCE_HEADS.get("none")(), match["tag"])
        head = SEQUENCE_HEADS.get(match["head"])
        return ParsedName(backbone, from_dict(head, {"hidden": int(match["hidden"])}, "seq"), match["tag"])
    except ConfigError as error:
        raise ConfigError(f"{name!r} is not a model name: {error}; {GRAMMAR}") from error


def model_overrides(name: str) -> list[str]:
    """What `model=NAME` of a run's configuration stands for: its backbone and head as `key=value`.

    Raises:
        ConfigError: If the name does not follow the grammar or names weights.
    """
    parsed = parse_name(name)
    if parsed.tag is not None:
        raise ConfigError(
            f"model={name} names trained weights; a training takes an architecture, "
            f"model={name.removesuffix(f'_{parsed.tag}')}"
        )
    if name in SYSTEMS:
        return [f"{key}={value}" for key, value in SYSTEMS[name].items()]
    hidden = getattr(parsed.seq, "hidden", None)
    return [
        f"backbone={parsed.backbone.name}",
        f"seq={parsed.seq.name}",
        *([] if hidden is None else [f"seq.hidden={hidden}"]),
    ]


def _known_start(name: str, known: Iterable[str]) -> str:
    """The longest known name that begins this one, else what stands before its first + or _."""
    starts = [start for start in known if name == start or name.startswith((f"{start}+", f"{start}_"))]
    return max(starts, key=len) if starts else re.split(r"[+_]", name, maxsplit=1)[0]


def _is_made_of(keys: Mapping[str, Any], backbone: BackboneConfig, seq: SequenceHeadConfig) -> bool:
    return (keys["backbone"], keys["seq"]) == (backbone.name, seq.name) and (
        dataclasses.replace(backbone, init=None),
        seq,
    ) == _parts(keys)


def _parts(keys: Mapping[str, Any]) -> tuple[BackboneConfig, SequenceHeadConfig]:
    backbone, seq = (
        {key.removeprefix(f"{part}."): value for key, value in keys.items() if key.startswith(f"{part}.")}
        for part in ("backbone", "seq")
    )
    return from_dict(BACKBONES.get(keys["backbone"]), backbone, "backbone"), from_dict(
        SEQUENCE_HEADS.get(keys["seq"]), seq, "seq"
    )
