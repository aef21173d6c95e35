"""Released files in our names: EfficientSED's, PretrainedSED's and EfficientAT's."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from efficient_sed.errors import CheckpointError, MissingDependencyError
from efficient_sed.models.contracts import Backbone, SequenceHead
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.registry import BACKBONES

logger = logging.getLogger(__name__)
CLIP_LAYER = "classifier.weak."
_TAGGER = re.compile(r"(features|in_c|layers|out_c)\.")
_TAGGER_LAYERS = {"classifier.2.": "classifier.layers.0.", "classifier.5.": "classifier.layers.3."}
_Rules = list[tuple[str, str, Sequence[tuple[str, str | None]]]]


def rename_released(
    state: Mapping[str, Tensor], spec: ModelSpec, parts: tuple[Backbone, SequenceHead] | None = None
) -> dict[str, Tensor]:
    """Keys in our names.

    The released files spell them with `net.` or `model.` before, or plainly with `model.` and perhaps a name for the
    backbone; those of EfficientAT have neither.

    Args:
        state: Weights by key.
        spec: Of the model that they are of.
        parts: That model's; default None, made without memory, for which PyTorch imports for a second.
    """
    state = {_of_tagger(key): value for key, value in state.items()}
    if any(key.startswith("classifier.") and key.count(".") == 2 for key in state) and not any(
        "seq_model" in key or "strong_head" in key for key in state
    ):
        return dict(state)
    if parts is None:
        with torch.device("meta"):
            backbone = spec.backbone.build()
            parts = backbone, spec.seq.build(backbone.out_dim)
    return _rename(state, _rules(*parts))


def _of_tagger(key: str) -> str:
    """A key of EfficientAT's files as the others spell it; other keys stay as they are."""
    if _TAGGER.match(key):
        return f"model.{key}"
    return next((new + key.removeprefix(old) for old, new in _TAGGER_LAYERS.items() if key.startswith(old)), key)


def held_backbone(*spellings: Mapping[str, Tensor]) -> str | None:
    """The backbone that these weights fit exactly, in one of their spellings; what else they hold does not matter.

    Any in our names, else one of the released.
    """
    is_ours = any(key.startswith("backbone.") for state in spellings for key in state)
    for name in (
        BACKBONES.names() if is_ours else sorted({card.architecture.split("+")[0] for card in list_cards().values()})
    ):
        own, rules = _layout(name)
        for state in spellings:
            try:
                renamed = _rename(state, rules)
            except CheckpointError:  # two of its keys spell one
                continue
            if own and {key: value.shape for key, value in renamed.items() if key.startswith("backbone.")} == own:
                return name
    return None


@cache
def _layout(name: str) -> tuple[dict[str, torch.Size], _Rules]:
    """Shapes of a backbone's weights, empty where it cannot be built, and rules for its released names."""
    try:
        with torch.device("meta"):
            backbone = BACKBONES.get(name)().build()
    except MissingDependencyError:
        return {}, []
    return {f"backbone.{key}": value.shape for key, value in backbone.state_dict().items()}, _rules(backbone)


def with_clip_layer(state: Mapping[str, Tensor], model: SedModel, path: Path) -> dict[str, Tensor]:
    """The weights, with the model's own random clip layer where the file has no fitting one.

    Files of released transformers may have none, or one for other classes; a warning says so.
    """
    own = {key: value for key, value in model.state_dict().items() if key.startswith(CLIP_LAYER)}
    found = {key: value for key, value in state.items() if key.startswith(CLIP_LAYER)}
    is_whole = {key: value.shape[1:] for key, value in found.items()} == {
        key: value.shape[1:] for key, value in own.items()
    }
    if not model.backbone.is_clip_layer_optional or (
        found and not is_whole
    ):  # a damaged one is for load_strictly to refuse
        return dict(state)
    num_classes = len(found[f"{CLIP_LAYER}bias"]) if found else 0
    if num_classes == len(model.classes):
        return dict(state)
    what = f"its clip layer for {num_classes} classes is left out" if found else "has no clip layer"
    logger.warning(
        "%s: %s; the model's, for %d classes, is random: count on frame logits alone", path, what, len(model.classes)
    )
    return {key: value for key, value in state.items() if key not in found} | own


def _rules(backbone: Backbone, sequence: SequenceHead | None = None) -> _Rules:
    rules: _Rules = [("backbone.", "backbone.", backbone.RELEASED_NAMES)]
    return rules if sequence is None else [*rules, ("seq_model.", "sequence.", sequence.RELEASED_NAMES)]


def _rename(state: Mapping[str, Tensor], rules: _Rules) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        short = re.sub(r"^(net|model)\.(?=(model|seq_model|strong_head|weak_head)\.)", "", key)
        short = re.sub(r"^model\.(fmn\.)?", "backbone.", short)
        short = re.sub(r"^(strong|weak)_head\.", r"classifier.\1.", short)
        own = _apply(rules, short)
        if own is None:
            continue
        if own in renamed:
            raise CheckpointError(f"{key} spells {own}, which another key of the file spells too")
        renamed[own] = value
    return renamed


def _apply(rules: _Rules, key: str) -> str | None:
    """Our name of a released key, None for a second copy."""
    for prefix, replacement, patterns in rules:
        if key.startswith(prefix):
            rest = key.removeprefix(prefix)
            for pattern, new in patterns:
                if re.search(pattern, rest):
                    return None if new is None else replacement + re.sub(pattern, new, rest)
            return replacement + rest
    return key
