"""Where a training starts: released or own weights, whatever file they come in; their backbone alone, or the sequence head too."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from efficient_sed.config.schema import BackboneConfig
from efficient_sed.errors import CheckpointError, MissingDependencyError, nearest
from efficient_sed.models._cards import Card, find_weights, list_cards, record_checksum
from efficient_sed.models._checkpoint import _HEADER_KEY, CHECKPOINT_SUFFIXES, load_strictly, read_checkpoint, rename_released, spec_from_header, stored_and_wanted
from efficient_sed.models._names import architecture_name
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

logger = logging.getLogger(__name__)
FILE_SUFFIXES = (*CHECKPOINT_SUFFIXES, ".pth", ".bin")
TIMM_NAME, TIMM_BACKBONE = "mobilenetv3_large_100", "fmn10"
TIMM_PAGE = f"https://huggingface.co/timm/{TIMM_NAME}.ra_in1k"
_STEM, _TIMM_STEM = "features.0.0.weight", "conv_stem.weight"


def load_initial(module: Backbone, config: BackboneConfig) -> None:
    """Fill a backbone with the weights that its `init` stands for; without `init` it stays as it is.

    Accepted are a tag or name with a card, timm's mobilenetv3_large_100, and files: ours, Lightning's .ckpt, those released by EfficientSED
    and EfficientAT, and timm's state dict. Nothing but the backbone is taken; a log line says what was and what was not.

    Raises:
        CheckpointError: If there are no such weights, they cannot be fetched or read, or they hold another backbone.
    """
    if config.init is None:
        return
    card, source, state, header = _read_start(config)
    if header:
        _require_same(spec_from_header(header, source).backbone.name, config)
    named = _in_our_names(state, config)
    tensors = {key.removeprefix("backbone."): value for key, value in named.items() if key.startswith("backbone.")}
    if not tensors:
        raise CheckpointError(f"{source}: holds no backbone that is known here (its first key is {min(state, default=None)!r})")
    notes = []
    if _TIMM_STEM in state:
        notes.append("its gates were trained as hard sigmoids and its BatchNorm with eps 1e-5, here they are sigmoids and 1e-3")
    if _STEM in tensors and tensors[_STEM].ndim == 4 and tensors[_STEM].shape[1] == 3:  # RGB
        tensors[_STEM] = tensors[_STEM].float().sum(1, keepdim=True)
        notes.append("its RGB stem is summed to one channel")
    try:
        load_strictly(module, tensors, source)
    except CheckpointError:
        if (held := _architecture(tensors)) is not None:
            _require_same(held, config)
        raise
    if card is not None:
        record_checksum(card, Path(source))
    left_out = Counter(key.split(".")[0] for key in named if not key.startswith("backbone."))
    notes.insert(0, "left out: " + (", ".join(f"{part} ({count})" for part, count in sorted(left_out.items())) or "nothing"))
    logger.info("%s starts from %s: %d backbone tensors; %s", config.name, source, len(tensors), "; ".join(notes))


def load_initial_model(model: SedModel, init_from: str) -> None:
    """Fill backbone and sequence head with those of a trained model of the same architecture; its classifier too if the classes are the same.

    Accepted are released names with a card, and files: ours, Lightning's .ckpt, and those released by EfficientSED. A log line says what was taken.

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
        raise CheckpointError(f"train.init_from={init_from} holds {architecture_name(stored.backbone, stored.seq)}, the run's model is {wanted}")
    tensors = rename_released(state, stored)
    is_kept = stored.classes == model.spec.classes
    if not is_kept:
        own = {key: value for key, value in model.state_dict().items() if key.startswith("classifier.")}
        tensors = {key: value for key, value in tensors.items() if not key.startswith("classifier.")} | own
    load_strictly(model, tensors, path)
    if card is not None:
        record_checksum(card, path)
    classifier = "classifier" if is_kept else f"its classifier of {len(stored.classes)} classes is left out, that of {len(model.classes)} is random"
    parts = "backbone" if stored.seq.name == "none" else "backbone, sequence head"
    logger.info("%s starts from %s: %s%s %s", wanted, path, parts, " and" if is_kept else ";", classifier)


def _read_start(config: BackboneConfig) -> tuple[Card | None, str, dict[str, Tensor], dict[str, Any] | None]:
    """The card if it has one, a file or name for messages, its tensors, and the header that describes them if there is one."""
    init = str(config.init)
    if init == TIMM_NAME:
        _require_same(TIMM_BACKBONE, config)
        return None, init, _fetch_from_timm(), None
    path, card = Path(init).expanduser(), None
    if path.suffix not in FILE_SUFFIXES and "/" not in init and not path.is_file():
        card = _card(config)
        path = find_weights(card)
    if _is_foreign_safetensors(path):
        return card, str(path), safetensors.torch.load_file(path), None
    return card, str(path), *read_checkpoint(path)


def _card(config: BackboneConfig) -> Card:
    """The card that a name or tag stands for: `synthetic` for fmn10_synthetic, `im` for mn10_im, `as` for mn10_as_mAP_471."""
    init, cards = str(config.init), list_cards()
    if init in cards:
        _require_same(_backbone_of(cards[init]), config)
        return cards[init]
    tagged = {card.architecture: card for card in cards.values() if re.fullmatch(rf"[^_+]+_{re.escape(init)}(_mAP_\d+)?", card.name)}
    if card := cards.get(f"{config.name}_{init}") or tagged.get(config.name):
        return card
    if tagged:
        others = ", ".join(card.name for card in cards.values() if card.architecture == config.name) or "none"
        raise CheckpointError(f"backbone.init={init} is there for {', '.join(sorted(tagged))} only; weights for {config.name}: {others}")
    fitting = [card.name for card in cards.values() if _backbone_of(card) == config.name]
    raise CheckpointError(f"backbone.init={init}: there are no such weights for {config.name}; {nearest(init, fitting)}; a file of yours is given by its path")


def _backbone_of(card: Card) -> str:
    return card.architecture.split("+")[0]


def _require_same(held: str, config: BackboneConfig) -> None:
    if held != config.name:
        raise CheckpointError(f"backbone.init={config.init} holds {held}, the run's backbone is {config.name}")


def _fetch_from_timm() -> dict[str, Tensor]:
    try:
        import timm

        state: dict[str, Tensor] = timm.create_model(TIMM_NAME, pretrained=True).state_dict()
    except Exception as error:  # no network, no such host, a full disk, a damaged cache: each library below raises its own
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"backbone.init={TIMM_NAME}: timm could not fetch it ({reason}); download model.safetensors from {TIMM_PAGE} and give its path as backbone.init=FILE"
        ) from error
    return state


def _is_foreign_safetensors(path: Path) -> bool:
    """Whether the file is sound and without our header, which `read_checkpoint` asks for."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return _HEADER_KEY not in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False  # read_checkpoint says what is wrong with it


def _in_our_names(state: Mapping[str, Tensor], config: BackboneConfig) -> dict[str, Tensor]:
    if _TIMM_STEM in state:
        return _rename_timm(state)
    spec = ModelSpec(config, SEQUENCE_HEADS.get("none")(), ())
    features = {f"model.{key}": value for key, value in state.items() if key.startswith("features.")}
    if features:  # EfficientAT: its backbone has the names that EfficientSED put behind `model.`
        return rename_released(features, spec) | {key: value for key, value in state.items() if not key.startswith("features.")}
    return rename_released(state, spec)


_TIMM_START = {"conv_stem": "features.0.0", "bn1": "features.0.1"}
_TIMM_DEPTHWISE = {"conv_dw": "block.0.0", "bn1": "block.0.1", "conv_pw": "block.1.0", "bn2": "block.1.1"}
_TIMM_INVERTED = {"conv_pw": "block.0.0", "bn1": "block.0.1", "conv_dw": "block.1.0", "bn2": "block.1.1", "conv_pwl": "block.2.0", "bn3": "block.2.1"}
_TIMM_GATED = _TIMM_INVERTED | {"se.conv_reduce": "block.2.fc1", "se.conv_expand": "block.2.fc2", "conv_pwl": "block.3.0", "bn3": "block.3.1"}
_TIMM_LAST = {"conv": "0", "bn1": "1"}


def _rename_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of timm's MobileNetV3 in our names. It nests blocks by resolution, we count them from 1 to 16; its gates are 1x1 convolutions."""
    blocks: dict[tuple[int, int], dict[tuple[str, str], Tensor]] = {}
    renamed = {}
    for key, value in state.items():
        if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)", key):
            blocks.setdefault((int(match[1]), int(match[2])), {})[match[3], match[4]] = value
        else:
            module, _, leaf = key.partition(".")
            renamed[f"backbone.{_TIMM_START[module]}.{leaf}" if module in _TIMM_START else key] = value
    for index, place in enumerate(sorted(blocks), start=1):
        modules = {module for module, _ in blocks[place]}
        names = _TIMM_LAST if "conv" in modules else _TIMM_DEPTHWISE if "conv_pwl" not in modules else _TIMM_GATED if "se.conv_reduce" in modules else _TIMM_INVERTED
        for (module, leaf), value in blocks[place].items():
            is_gate = module.startswith("se.") and leaf == "weight"
            renamed[f"backbone.features.{index}.{names.get(module, module)}.{leaf}"] = value.flatten(1) if is_gate else value
    return renamed


def _architecture(tensors: Mapping[str, Tensor]) -> str | None:
    """The registered backbone that these weights fit exactly."""
    shapes = {key: value.shape for key, value in tensors.items()}
    for name in BACKBONES.names():
        try:
            with torch.device("meta"):
                own = BACKBONES.get(name)().build().state_dict()
        except MissingDependencyError:
            continue
        if {key: value.shape for key, value in own.items()} == shapes:
            return name
    return None
