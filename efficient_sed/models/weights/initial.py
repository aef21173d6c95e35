"""Initial weights of a training: released or own ones, in any accepted kind of file.

Either the backbone alone is taken, or the sequence head too.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
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
from efficient_sed.models.weights.hub import local_file
from efficient_sed.models.weights.read import load_strictly, read_checkpoint
from efficient_sed.models.weights.released import CLIP_LAYER, held_backbone, rename_released, with_clip_layer
from efficient_sed.models.weights.timm_start import adapt_vision, fetch_from_timm, is_of_timm, rename_timm, timm_holder
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

logger = logging.getLogger(__name__)
FILE_SUFFIXES = (*CHECKPOINT_SUFFIXES, ".pth", ".bin")
_STEM = "features.0.0.weight"


def load_initial(module: Backbone, config: BackboneConfig) -> None:
    """Fill a backbone with the weights that its `init` stands for; without `init` it stays as it is.

    Accepted are a tag or name with a card, a name of timm's, one on the hub (`hf:user/name`), and files: ours,
    Lightning's .ckpt, those released by EfficientSED, EfficientAT and PretrainedSED, and timm's state dict. Nothing but
    the backbone is taken; a log line says what was and what was not.

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


def load_initial_model(model: SedModel, init_from: str, *, is_extended: bool = False) -> None:
    """Fill backbone and sequence head with those of a trained model of the same architecture.

    Its classifier is taken too if the classes are the same, or as a part of the larger one if they are extended.

    Accepted are released names with a card, names on the hub (`hf:user/name`), and files: ours, Lightning's .ckpt, and
    those released by EfficientSED. A log line says what was taken.

    Args:
        model: What is filled.
        init_from: Name or file of the trained model.
        is_extended: Whether the model's classes are those of the trained one and others behind them.

    Raises:
        CheckpointError: If there are no such weights, they cannot be fetched or read, or they hold another model.
    """
    start = _read_model(model.spec, init_from)
    tensors = rename_released(start.state, start.spec)
    is_kept = is_extended or (start.spec.classes, start.spec.pooling) == (model.spec.classes, model.spec.pooling)
    if is_extended:
        tensors = _with_new_classes(tensors, model, start)
    elif not is_kept:
        own = {key: value for key, value in model.state_dict().items() if key.startswith("classifier.")}
        tensors = {key: value for key, value in tensors.items() if not key.startswith("classifier.")} | own
    elif start.has_no_header:
        tensors = with_clip_layer(tensors, model, start.path)
    load_strictly(model, tensors, start.path)
    if start.card is not None:
        record_checksum(start.card, start.path)
    num_stored, num_classes = len(start.spec.classes), len(model.classes)
    left_out = f"its classifier of {num_stored} classes is left out, that of {num_classes} is random"
    new = f", {num_classes - num_stored} of its {num_classes} classes random" if is_extended else ""
    parts = "backbone" if start.spec.seq.name == "none" else "backbone, sequence head"
    rest = f" and classifier{new}" if is_kept else f"; {left_out}"
    logger.info("%s starts from %s: %s%s", start.architecture, start.path, parts, rest)


def initial_classes(spec: ModelSpec, init_from: str) -> tuple[str, ...]:
    """The classes of the trained model that `train.init_from` names, in logit order.

    Args:
        spec: The run's model; its classes do not count.
        init_from: Name or file.

    Raises:
        CheckpointError: As for `load_initial_model`, or if the classifiers are of two kinds.
    """
    stored = _read_model(spec, init_from).spec
    if stored.pooling != spec.pooling:
        advice = f"its classifier is kept with train.extend_classes=true; give classifier.pooling={stored.pooling}"
        raise CheckpointError(f"train.init_from={init_from} has classifier.pooling={stored.pooling}: {advice}")
    return stored.classes


class _Start(NamedTuple):
    """A trained model as it lies in a file."""

    spec: ModelSpec
    architecture: str
    state: Mapping[str, Tensor]
    has_no_header: bool
    path: Path
    card: Card | None


def _read_model(spec: ModelSpec, init_from: str) -> _Start:
    """The trained model of the architecture of `spec`; errors as for `load_initial_model`."""
    wanted = architecture_name(spec.backbone, spec.seq)
    card = list_cards().get(init_from)
    if card is not None and card.task == "backbone":
        raise CheckpointError(f"train.init_from={init_from} is a backbone alone; give it as backbone.init={init_from}")
    if card is not None and card.architecture != wanted:
        raise CheckpointError(f"train.init_from={init_from} holds {card.architecture}, the run's model is {wanted}")
    path = find_weights(card) if card is not None else local_file(init_from)
    state, header = read_checkpoint(path)
    stored, seq = stored_and_wanted(path, state, header, wanted)
    if stored.seq != seq:
        raise CheckpointError(
            f"train.init_from={init_from} holds {architecture_name(stored.backbone, stored.seq)}, "
            f"the run's model is {wanted}"
        )
    return _Start(stored, wanted, state, header is None, path, card)


def _with_new_classes(tensors: Mapping[str, Tensor], model: SedModel, start: _Start) -> dict[str, Tensor]:
    """The weights with a classifier whose first outputs are the stored ones; the others are the model's own, random."""
    num_kept, num_classes, widened = len(start.spec.classes), len(model.classes), dict(tensors)
    for key, own in model.state_dict().items():
        stored = tensors.get(key)
        if not key.startswith("classifier.") or (stored is not None and stored.shape == own.shape):
            continue
        is_optional = key.startswith(CLIP_LAYER) and model.backbone.is_clip_layer_optional
        sizes = [] if stored is None else list(stored.shape)
        fitting = [axis for axis, size in enumerate(own.shape) if size == num_classes and axis < len(sizes)]
        axis = next((axis for axis in fitting if sizes == [*own.shape[:axis], num_kept, *own.shape[axis + 1 :]]), None)
        if stored is not None and axis is not None:
            widened[key] = torch.cat([stored.to(own), own.narrow(axis, num_kept, num_classes - num_kept)], axis)
        elif is_optional:
            widened[key] = own
    return widened


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
    path, card = local_file(init), None
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
        _backbone_of(card): card
        for card in cards.values()
        if re.fullmatch(rf"{re.escape(_backbone_of(card))}_{re.escape(init)}(_mAP_\d+)?", card.name)
    }
    if card := tagged.get(config.name) or tagged.get(config.weights_of or ""):
        return card
    fitting = [card.name for card in cards.values() if _backbone_of(card) in (config.name, config.weights_of)]
    if tagged:
        raise CheckpointError(
            f"backbone.init={init} is there for {', '.join(sorted(_started_by(tagged)))} only; "
            f"weights for {config.name}: {', '.join(fitting) or 'none'}"
        )
    raise CheckpointError(
        f"backbone.init={init}: there are no such weights for {config.name}; {nearest(init, fitting)}; "
        "a file of yours is given by its path"
    )


def _started_by(backbones: Iterable[str]) -> set[str]:
    """Backbones that start from weights of these: they themselves, and their frame-wise forms."""
    held = set(backbones)
    return {name for name in BACKBONES.names() if held & {name, BACKBONES.get(name).weights_of}}


def _backbone_of(card: Card) -> str:
    return card.architecture.split("+")[0]


def _require_same(held: str, config: BackboneConfig) -> None:
    if held not in (config.name, config.weights_of):
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
    return rename_released(state, spec)
