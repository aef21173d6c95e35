"""Models saved and loaded. Loading is always strict: each weight is there once, in the right shape."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.data.labels import default_classes
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.machine.memory import is_memory
from efficient_sed.models.names import GRAMMAR, architecture_name, parse_name
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel, build_head
from efficient_sed.models.weights.cards import (
    Card,
    card_of_file,
    find_weights,
    get_card,
    list_cards,
    nearest_names,
    provenance_of,
    record_checksum,
)
from efficient_sed.models.weights.header import HEADER_KEY, model_header, provenance_from_header, spec_from_header
from efficient_sed.models.weights.hub import HUB_MODEL_FILE, is_hub_name, local_file
from efficient_sed.models.weights.read import load_strictly, read_checkpoint
from efficient_sed.models.weights.released import held_backbone, rename_released, with_clip_layer
from efficient_sed.registry import SEQUENCE_HEADS

logger = logging.getLogger(__name__)
MAX_EXTRA = 20_000_000  # parameters that a model may have beyond twice those of its file: a new classifier
USUAL_SIZE = 1024  # largest hidden size and number of classes of released models
MODEL_FILE = HUB_MODEL_FILE  # of a finished run, and of a repository that one was pushed to
CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".ckpt")


def save_model(model: SedModel, path: str | Path, *, half: bool = False) -> None:
    """Write weights and the header that rebuilds the model.

    The file appears when it is complete; one that was there stays until then.

    Args:
        model: The model.
        path: A .safetensors file.
        half: Store floating-point weights as float16.

    Raises:
        CheckpointError: If the file cannot be written, a weight does not fit into float16, a note is no JSON, the model
            is a fused copy, or its layers were replaced.
    """
    if model.is_fused:
        raise CheckpointError(
            f"{path}: a fused model cannot be saved, its weights are no longer those of its parts; "
            "save the model that was given to fuse()"
        )
    if model.backbone.is_altered:
        raise CheckpointError(
            f"{path}: a model whose layers were replaced cannot be saved, its name does not say so; "
            "save one with a backbone such as fmn10_dcls, which has them"
        )
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
    }
    for key, value in tensors.items():
        if half and not torch.isfinite(value).all():
            raise CheckpointError(f"{path}: {key} does not fit into float16; save it in full precision")
    try:
        header = json.dumps(model_header(model), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the notes of the model's provenance could not be read again ({error}); "
            "keep text and finite numbers in them"
        ) from error
    data = safetensors.torch.save(tensors, metadata={HEADER_KEY: header})
    try:
        write_atomically(Path(path), data)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}); what was there before is untouched"
        ) from error


def load_model(name: str, checkpoint: str | Path | None = None, num_classes: int | None = None) -> SedModel:
    """A trained model, in evaluation mode.

    A file without a sequence head can be loaded into a model with one: then only the backbone is taken, and a warning
    says what was left out.

    Args:
        name: A released name such as "fmn10+tf-256_strong", a file that says what it holds (ours, or a released one
            under its own name), a model on the hub, "hf:user/name" or "hf:user/name@revision", or, with `checkpoint`,
            an architecture such as "fmn10+tf-256".
        checkpoint: File with weights: .safetensors, .pt as released by EfficientSED or PretrainedSED, or a Lightning
            .ckpt.
        num_classes: Where the weights are for another number of classes, replace their classifier by a random one of
            this size.

    Raises:
        CheckpointError: If no such weights exist, or they do not fit: missing, extra and misshapen keys are named.
        ConfigError: If the name does not follow the grammar.
    """
    if checkpoint is None and has_own_file(name):
        return _load_file(local_file(name), None, num_classes)
    if checkpoint is not None:
        parsed = parse_name(name)
        if parsed.tag is not None and name not in list_cards():
            raise ConfigError(f"{name!r}: with checkpoint=FILE give the architecture alone, {parsed.architecture}")
        return _load_file(Path(checkpoint), parsed.architecture, num_classes)
    card = _card(name)
    path = find_weights(card)
    model = _load_file(path, card.architecture, num_classes, card)
    record_checksum(card, path)  # not before the file has proved good
    return model


def has_own_file(name: str) -> bool:
    """Whether a name speaks of a file that says what it holds, here or on the hub, and not of released weights."""
    return is_hub_name(name) or Path(name).suffix in CHECKPOINT_SUFFIXES


def _card(name: str) -> Card:
    if name and name not in list_cards() and Path(name).exists():
        path = Path(name)
        hint = (
            f"give the file in it, {path / MODEL_FILE}"
            if (path / MODEL_FILE).is_file()
            else f"a checkpoint ends in {', '.join(CHECKPOINT_SUFFIXES)}"
        )
        raise CheckpointError(
            f"{name}: {'a folder' if path.is_dir() else 'a file of another kind'}, and no model; {hint}"
        )
    if name not in list_cards() and parse_name(name).tag is None:
        near = nearest_names(name, list_cards())
        error = CheckpointError(
            f"{name!r} names no weights: give a file, load_model's checkpoint=FILE, or a released name; {near}".rstrip(
                "; "
            )
        )
        error.command_line_message = (
            f"{name!r} names no weights: give a file, such as runs/RUN/{MODEL_FILE}, or a released name; "
            f"{near}train one by: efficient-sed train model={name}"
        )
        raise error
    card = get_card(name)
    if card.task == "backbone":
        raise CheckpointError(f"{name!r} is a starting point for training, not a model: use it as backbone.init={name}")
    return card


def _load_file(path: Path, name: str | None, num_classes: int | None, card: Card | None = None) -> SedModel:
    """A model from a file; `card` if the file was found as the released one."""
    held, header = read_checkpoint(path)
    stored, wanted = stored_and_wanted(path, held, header, name)
    is_released = card is not None
    if card is None and header is None:
        card = card_of_file(path)
    if card is not None and card.num_classes != len(stored.classes):
        raise CheckpointError(f"{path}: holds {len(stored.classes)} classes, {card.name} has {card.num_classes}")
    has_new_head = stored.seq != wanted
    has_new_classifier = has_new_head or num_classes not in (None, len(stored.classes))
    classes = stored.classes if not has_new_classifier or num_classes is None else default_classes(num_classes)
    spec = ModelSpec(stored.backbone, wanted, classes, stored.pooling)
    if not has_new_head:  # one that was typed may be as large as one likes
        _check_size(spec, held, path)
    model = SedModel(spec)
    state = rename_released(held, stored, None if has_new_head else (model.backbone, model.sequence))
    if has_new_classifier:
        state = _with_new_parts(state, model, path, stored, has_new_head=has_new_head)
    elif header is None:
        state = with_clip_layer(state, model, path)
    try:
        load_strictly(model, state, path)
    except CheckpointError:
        if header is None and (other := held_backbone(held)) not in (None, stored.backbone.name):
            raise CheckpointError(f"{path}: holds {other}, not {stored.backbone.name}") from None
        raise
    if has_new_classifier:
        model.provenance = Provenance(notes={"trained_part_from": path.name})
    elif header:
        model.provenance = provenance_from_header(header, path)
    elif card is not None:
        model.provenance = provenance_of(card, is_released=is_released)
    return model.eval()


def _check_size(spec: ModelSpec, state: Mapping[str, Tensor], path: Path) -> None:
    """Raise a CheckpointError if a damaged header describes a model that is far larger than the file."""
    if _is_usual(spec):  # the meta device takes a second to import
        return
    try:
        with torch.device("meta"):
            backbone = spec.backbone.build()
            parts = (backbone, *build_head(spec, backbone.out_dim))
            num_params = sum(parameter.numel() for part in parts for parameter in part.parameters())
    except RuntimeError as error:
        if is_memory(error):
            raise CheckpointError(f"{path}: describes a model that no memory could hold") from None
        raise
    if num_params > 2 * sum(value.numel() for value in state.values()) + MAX_EXTRA:
        raise CheckpointError(
            f"{path}: describes a model that is far larger than the file; "
            "its header is damaged, or the weights are another model's"
        )


def _is_usual(spec: ModelSpec) -> bool:
    """Whether options are the defaults and sizes those of released models, which any memory holds."""
    sizes = {"hidden": spec.seq.hidden} if hasattr(spec.seq, "hidden") else {}
    is_default = (spec.backbone, spec.seq) == (type(spec.backbone)(), type(spec.seq)(**sizes))
    return is_default and max((*sizes.values(), len(spec.classes))) <= USUAL_SIZE


def _with_new_parts(
    state: Mapping[str, Tensor], model: SedModel, path: Path, stored: ModelSpec, *, has_new_head: bool
) -> dict[str, Tensor]:
    """The weights with the model's own random classifier, and head if the file has none; a warning says so."""
    replaced = ("sequence.", "classifier.") if has_new_head else ("classifier.",)
    what = (
        f"only its backbone is taken: the head {model.spec.seq.name} and the classifier are random"
        if has_new_head
        else "its classifier is left out"
    )
    logger.warning(
        "%s: %s (%d classes in the file, %d in the model)", path, what, len(stored.classes), len(model.classes)
    )
    kept = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    return kept | {key: value for key, value in model.state_dict().items() if key.startswith(replaced)}


def stored_and_wanted(
    path: Path, state: Mapping[str, Tensor], header: dict[str, Any] | None, name: str | None
) -> tuple[ModelSpec, SequenceHeadConfig]:
    """What a file holds, and the head of the model to be made: another one only where the file has none."""
    if header:
        stored = spec_from_header(header, path)
        if name is None:
            return stored, stored.seq
        parsed = parse_name(name)
        held = architecture_name(stored.backbone, stored.seq)
        if held == parsed.architecture:
            return stored, stored.seq
        if held == parsed.backbone.name:
            return stored, parsed.seq
        raise CheckpointError(f"{path}: holds {held}, not {parsed.architecture}")
    try:
        card = card_of_file(path)
        parsed = parse_name(name if name is not None else path.stem if card is None else card.architecture)
    except ConfigError as error:
        if name is not None:
            raise
        unnamed, way = (
            f"{path}: does not say which model it holds; name it, as in",
            f"`efficient-sed models convert {path} OUT.safetensors --name fmn10+tf-256`",
        )
        raised = CheckpointError(f"{unnamed} load_model('fmn10+tf-256', checkpoint={str(path)!r}) or {way}: {GRAMMAR}")
        raised.command_line_message = f"{unnamed} {way}: {GRAMMAR}"
        raise raised from error
    has_head = any(
        key.removeprefix("net.").removeprefix("model.").startswith(("seq_model.", "sequence.")) for key in state
    )
    seq = parsed.seq if has_head else SEQUENCE_HEADS.get("none")()
    return ModelSpec(parsed.backbone, seq, default_classes(_num_classes(state, path))), parsed.seq


def _num_classes(state: Mapping[str, Tensor], path: Path) -> int:
    for key, value in state.items():
        if (
            key.endswith(("strong_head.bias", "classifier.strong.bias", "classifier.5.bias"))
            and value.ndim == 1
            and len(value)
        ):
            return len(value)
    raise CheckpointError(
        f"{path}: holds no classifier (strong_head.bias); a training starts from its backbone with backbone.init={path}"
    )
