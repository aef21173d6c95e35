"""The grammar of model names: `<backbone>[+<head>-<hidden>][_<weights tag>]`."""

from __future__ import annotations

import re
from typing import NamedTuple

from efficient_sed.config._strict import from_dict
from efficient_sed.config.schema import BackboneConfig, SequenceHeadConfig, architecture_name
from efficient_sed.errors import ConfigError
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

GRAMMAR = "a model is named <backbone>[+<head>-<hidden>], such as fmn10 or fmn10+tf-256"
_PATTERN = re.compile(r"(?P<backbone>[^+_]+)(?:\+(?P<head>[^+_-]+)-(?P<hidden>\d+))?(?:_(?P<tag>.+))?")


class ParsedName(NamedTuple):
    """A model's parts and the tag of its weights, if the name has one."""

    backbone: BackboneConfig
    seq: SequenceHeadConfig
    tag: str | None

    @property
    def architecture(self) -> str:
        """The name without its weights tag."""
        return architecture_name(self.backbone, self.seq)


def parse_name(name: str) -> ParsedName:
    """Parts of a name, strictly.

    Raises:
        ConfigError: If the name does not follow the grammar or a part is unknown; the message shows the nearest name and the list.
    """
    match = _PATTERN.fullmatch(name)
    if match is None:
        raise ConfigError(f"{name!r} is not a model name: {GRAMMAR}")
    try:
        backbone = BACKBONES.get(match["backbone"])()
        if match["head"] is None:
            return ParsedName(backbone, SEQUENCE_HEADS.get("none")(), match["tag"])
        head = SEQUENCE_HEADS.get(match["head"])
        return ParsedName(backbone, from_dict(head, {"hidden": int(match["hidden"])}, "seq"), match["tag"])
    except ConfigError as error:
        raise ConfigError(f"{name!r} is not a model name: {error}; {GRAMMAR}") from error
