"""Initial weights of a training: released or own ones, in any accepted kind of file.

Either the backbone alone is taken, or the sequence head too.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import CheckpointError, nearest
from efficient_sed.models.backbones.timm_vision import VisionBackbone
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.names import architecture_name
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.weights.cards import Card, find_weights, list_cards, record_checksum
from efficient_sed.models.weights.checkpoint import CHECKPOINT_SUFFIXES, stored_and_wanted
from efficient_sed.models.weights.header import HEADER_KEY, spec_from_header
from efficient_sed.models.weights.read import load_strictly, read_checkpoint
from efficient_sed.models.weights.released import held_backbone, rename_released, with_clip_layer
from efficient_sed.models.weights.timm_start import adapt_vision, fetch_from_timm, is_of_timm, rename_timm, timm_holder
from efficient_sed.registry import SEQUENCE_HEADS

logger = logging.getLogger(__name__)
FILE_SUFFIXES = (*CHECKPOINT_SUFFIXES, ".pth", ".bin")
_STEM = "features.0.0.weight"


def load_initial(module: Backbone, config: BackboneConfig) -> None:
    """Fill a backbone with the weights that its `init` stands for; without `init` it stays as it is.

    Accepted are a tag or name with a card, a name of timm's, and files: ours, Lightning's .ckpt, those released by
    EfficientSED, EfficientAT and PretrainedSED, and timm's state dict. Nothing but the backbone is taken; a log line
    says what was and what was not.

    Raises:
        CheckpointError: If there are no such weights, they cannot be fetched or read, or they hold another backbone.
    """
    if config.init is None:
        return
    card, source, state, header = _read_start(config)
    if header:
        _require_same(spec_from_header(header, source).backbone.name, config)
    named, notes = rename_timm(state) if is_of_timm(state) else (_in_our_names(state, config), [])
    tensors = {key.removeprefix("backbone."): value for key, value in named.items() if key.startswith("backbone.")}
    if not tensors:
        raise CheckpointError(
            f"{source}: holds no backbone that is known here (its first key is {min(state, default=None)!r})"
        )
    if _STEM in tensors and tensors[_STEM].ndim == 4 and tensors[_STEM].shape[1] == 3:  # RGB
        tensors[_STEM] = tensors[_STEM].float().sum(1, keepdim=True)
        notes.append("its RGB stem is summed to one channel")
    num_taken = len(tensors)
    if isinstance(module, VisionBackbone) and is_of_timm(state):
        tensors, fresh = adapt_vision(module, tensors)
        num_taken = len(tensors) - len(fresh)
        notes.append(
            f"random: {', '.join(fresh)}"
            if len(fresh) < 4
            else f"random: {fresh[0]} and {len(fresh) - 1} more, which have learned positions here"
        )
    try:
        load_strictly(module, tensors, source)
    except CheckpointError:
        if (held := held_backbone({f"backbone.{key}": value for key, value in tensors.items()}, state)) is not None:
            _require_same(held, config)
        raise
    if card is not None:
        record_checksum(card, Path(source))
    left_out = Counter(key.split(".")[0] for key in named if not key.startswith("backbone."))
    notes.insert(
        0, "left out: " + (", ".join(f"{part} ({count})" for part, count in sorted(left_out.items())) or "nothing")
    )
    logger.info("%s starts from %s: %d backbone tensors; %s", config.name, source, num_taken, "; ".join(notes))


def load_initial_model(model: SedModel, init_from: str) -> None:
    """Fill backbone and sequence head with those of a trained model of the same architecture.

    Its classifier is taken too if the classes are the same.

    Accepted are released names with a card, and files: ours, Lightning's .ckpt, and those released by EfficientSED. A
    log line says what was taken.

    Raises:
        CheckpointError: If there are no such weights, they cannot be fetched or read, or they hold another model.
    """
    wanted = architecture_name(model.spec.backbone, model.spec.seq)
    card = list_cards().get(init_from)
    if card is not None and card.task == "backbone":
        raise CheckpointError(f"train.init_from={init_from} is a backbone alone; give it as backbone.init={init_from}")
    if card is not None and card.architecture != wanted:
        raise CheckpointError(f"train.init_from={init_from} holds {card.architecture}, the run's model is {wanted}")
    path = find_weights(card) if card is not None else Path(init_from).expanduser()
    state, header = read_checkpoint(path)
    stored, seq = stored_and_wanted(path, state, header, wanted)
    if stored.seq != seq:
        raise CheckpointError(
            f"train.init_from={init_from} holds {architecture_name(stored.backbone, stored.seq)}, "
            f"the run's model is {wanted}"
        )
    tensors = rename_released(state, stored)
    is_kept = (stored.classes, stored.pooling) == (model.spec.classes, model.spec.pooling)
    if not is_kept:
        own = {key: value for key, value in model.state_dict().items() if key.startswith("classifier.")}
        tensors = {key: value for key, value in tensors.items() if not key.startswith("classifier.")} | own
    elif header is None:
        tensors = with_clip_layer(tensors, model, path)
    load_strictly(model, tensors, path)
    if card is not None:
        record_checksum(card, path)
    classifier = (
        "classifier"
        if is_kept
        else f"its classifier of {len(stored.classes)} classes is left out, that of {len(model.classes)} is random"
    )
    parts = "backbone" if stored.seq.name == "none" else "backbone, sequence head"
    logger.info("%s starts from %s: %s%s %s", wanted, path, parts, " and" if is_kept else ";", classifier)


def _read_start(config: BackboneConfig) -> tuple[Card | None, str, dict[str, Tensor], dict[str, Any] | None]:
    """What `init` stands for.

    The card if it has one, a file or name for messages, its tensors, and the header that describes them if there is
    one.
    """
    init = str(config.init)
    if (holder := timm_holder(init)) is not None:
        if config.timm_name is None or config.timm_name.split(".")[0] != init:
            _require_same(holder, config)
        return None, init, fetch_from_timm(init, str(config.timm_name)), None
    path, card = Path(init).expanduser(), None
    if path.suffix not in FILE_SUFFIXES and "/" not in init and not path.is_file():
        card = _card(config)
        path = find_weights(card)
    if _is_foreign_safetensors(path):
        return card, str(path), safetensors.torch.load_file(path), None
    return card, str(path), *read_checkpoint(path)


def _card(config: BackboneConfig) -> Card:
    """The card that a name or tag stands for.

    `synthetic` stands for fmn10_synthetic, `im` for mn10_im, `as` for mn10_as_mAP_471.
    """
    init, cards = str(config.init), list_cards()
    if init in cards:
        _require_same(_backbone_of(cards[init]), config)
        return cards[init]
    tagged = {
        card.architecture: card
        for card in cards.values()
        if card.name == f"{_backbone_of(card)}_{init}"
        or re.fullmatch(rf"mn\d+_{re.escape(init)}(_mAP_\d+)?", card.name)
    }
    if card := cards.get(f"{config.name}_{init}") or tagged.get(config.name):
        return card
    if tagged:
        others = ", ".join(card.name for card in cards.values() if card.architecture == config.name) or "none"
        raise CheckpointError(
            f"backbone.init={init} is there for {', '.join(sorted(tagged))} only; weights for {config.name}: {others}"
        )
    fitting = [card.name for card in cards.values() if _backbone_of(card) == config.name]
    raise CheckpointError(
        f"backbone.init={init}: there are no such weights for {config.name}; {nearest(init, fitting)}; "
        "a file of yours is given by its path"
    )


def _backbone_of(card: Card) -> str:
    return card.architecture.split("+")[0]


def _require_same(held: str, config: BackboneConfig) -> None:
    if held != config.name:
        raise CheckpointError(f"backbone.init={config.init} holds {held}, the run's backbone is {config.name}")


def _is_foreign_safetensors(path: Path) -> bool:
    """Whether the file is sound and without our header, which `read_checkpoint` asks for."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return HEADER_KEY not in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False  # read_checkpoint says what is wrong with it


def _in_our_names(state: Mapping[str, Tensor], config: BackboneConfig) -> dict[str, Tensor]:
    spec = ModelSpec(config, SEQUENCE_HEADS.get("none")(), ())
    features = {f"model.{key}": value for key, value in state.items() if key.startswith("features.")}
    if features:  # EfficientAT: its backbone has the names that EfficientSED put behind `model.`
        return rename_released(features, spec) | {
            key: value for key, value in state.items() if not key.startswith("features.")
        }
    return rename_released(state, spec)
