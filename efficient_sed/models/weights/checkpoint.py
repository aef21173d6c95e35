"""Trained weights in and out: our safetensors, released .pt files, Lightning's .ckpt. Always strict, never executing a pickle."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from efficient_sed.config.model import BackboneConfig, SequenceHeadConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.values import to_dict
from efficient_sed.data.labels import default_classes, label_problem
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.json import parse_json
from efficient_sed.files.npz import check_unpacked
from efficient_sed.machine.memory import is_memory
from efficient_sed.models.names import GRAMMAR, architecture_name, parse_name
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
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
from efficient_sed.models.weights.released import held_backbone, rename_released, with_clip_layer
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

logger = logging.getLogger(__name__)
FORMAT = "efficient_sed/1"
_HEADER_KEY = "efficient_sed"
MAX_EXTRA = 20_000_000  # parameters that a model may have beyond twice those of its file: a new head
MAX_EXTRA_TENSORS = 1000
MODEL_FILE = "model.safetensors"  # of a finished run
CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".ckpt")


def model_header(model: SedModel) -> dict[str, Any]:
    """Plain values that rebuild a model without its weights."""
    spec = model.spec
    return {
        "format": FORMAT,
        "backbone": to_dict(spec.backbone) | {"init": None},
        "seq": to_dict(spec.seq),
        "classes": list(spec.classes),
        "provenance": asdict(model.provenance),
    }


def save_model(model: SedModel, path: str | Path, *, half: bool = False) -> None:
    """Write weights and the header that rebuilds the model. The file appears when it is complete; one that was there stays until then.

    Args:
        half: Store floating-point weights as float16.

    Raises:
        CheckpointError: If the file cannot be written, a weight does not fit into float16, a note is no JSON, the model is a fused copy, or its layers were replaced.
    """
    if model.is_fused:
        raise CheckpointError(
            f"{path}: a fused model cannot be saved, its weights are no longer those of its parts; save the model that was given to fuse()"
        )
    if model.backbone.is_altered:
        raise CheckpointError(
            f"{path}: a model whose layers were replaced cannot be saved, its name does not say so; save one with a backbone such as fmn10_dcls, which has them"
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
            f"{path}: the notes of the model's provenance could not be read again ({error}); keep text and finite numbers in them"
        ) from error
    data = safetensors.torch.save(tensors, metadata={_HEADER_KEY: header})
    try:
        write_atomically(Path(path), data)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}); what was there before is untouched"
        ) from error


def load_model(name: str, checkpoint: str | Path | None = None, num_classes: int | None = None) -> SedModel:
    """A trained model, in evaluation mode.

    A file without a sequence head can be loaded into a model with one: then only the backbone is taken, and a warning says what was left out.

    Args:
        name: A released name such as "fmn10+tf-256_strong", a file that says what it holds (ours, or a released one under its own name),
            or, with `checkpoint`, an architecture such as "fmn10+tf-256".
        checkpoint: File with weights: .safetensors, .pt as released by EfficientSED or PretrainedSED, or a Lightning .ckpt.
        num_classes: Where the weights are for another number of classes, replace their classifier by a random one of this size.

    Raises:
        CheckpointError: If no such weights exist, or they do not fit: missing, extra and misshapen keys are named.
        ConfigError: If the name does not follow the grammar.
    """
    if checkpoint is None and Path(name).suffix in CHECKPOINT_SUFFIXES:
        return _load_file(Path(name), None, num_classes)
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
        error.command_line_message = f"{name!r} names no weights: give a file, such as runs/RUN/{MODEL_FILE}, or a released name; {near}train one by: efficient-sed train model={name}"
        raise error
    card = get_card(name)
    if card.task == "backbone":
        raise CheckpointError(f"{name!r} is a starting point for training, not a model: use it as backbone.init={name}")
    return card


def _load_file(path: Path, name: str | None, num_classes: int | None, card: Card | None = None) -> SedModel:
    held, header = read_checkpoint(path)
    stored, wanted = stored_and_wanted(path, held, header, name)
    is_released = card is not None
    if card is None and header is None:
        card = card_of_file(path)
    if card is not None and card.num_classes != len(stored.classes):
        raise CheckpointError(f"{path}: holds {len(stored.classes)} classes, {card.name} has {card.num_classes}")
    state = rename_released(held, stored)
    has_new_head = stored.seq != wanted
    has_new_classifier = has_new_head or num_classes not in (None, len(stored.classes))
    spec = ModelSpec(
        stored.backbone,
        wanted,
        default_classes(num_classes) if has_new_classifier and num_classes is not None else stored.classes,
    )
    with (
        contextlib.nullcontext() if has_new_head else _no_larger_than(state, path)
    ):  # a head that was typed may be as large as one likes
        model = SedModel(spec)
    if has_new_classifier:
        replaced = ("sequence.", "classifier.") if has_new_head else ("classifier.",)
        state = {key: value for key, value in state.items() if not key.startswith("classifier.")}
        state |= {key: value for key, value in model.state_dict().items() if key.startswith(replaced)}
        what = (
            f"only its backbone is taken: the head {wanted.name} and the classifier are random"
            if has_new_head
            else "its classifier is left out"
        )
        logger.warning(
            "%s: %s (%d classes in the file, %d in the model)", path, what, len(stored.classes), len(model.classes)
        )
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
        model.provenance = _provenance(header, path)
    elif card is not None:
        model.provenance = provenance_of(card, is_released=is_released)
    return model.eval()


@contextlib.contextmanager
def _no_larger_than(state: Mapping[str, Tensor], path: Path) -> Iterator[None]:
    """Raise a CheckpointError while a model is built that is far larger than the file: a few numbers in a header would take all memory."""
    left, thread = 2 * sum(value.numel() for value in state.values()) + MAX_EXTRA, threading.get_ident()
    tensors_left = 2 * len(state) + MAX_EXTRA_TENSORS  # a GRU takes time by the square of its layers

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:  # noqa: ARG001 (the hook's signature)
        nonlocal left, tensors_left
        if parameter is not None and threading.get_ident() == thread:
            left, tensors_left = left - parameter.numel(), tensors_left - 1
            if left < 0 or tensors_left < 0:
                raise CheckpointError(
                    f"{path}: describes a model that is far larger than the file; its header is damaged, or the weights are another model's"
                )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    except RuntimeError as error:
        if is_memory(error):
            raise CheckpointError(f"{path}: describes a model that no memory could hold") from None
        raise
    finally:
        handle.remove()


def _provenance(header: Mapping[str, Any], path: Path) -> Provenance:
    try:
        values = dict(header["provenance"])
        notes = values.pop("notes", {})
        if not isinstance(notes, Mapping):
            raise TypeError(f"notes={notes!r} is no table")
        return replace(from_dict(Provenance, values, "provenance"), notes=notes)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not say where the weights come from ({error})") from error


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


def load_strictly(module: torch.nn.Module, state: Mapping[str, Tensor], path: Path | str) -> None:
    """Copy weights, each key present once and in the right shape.

    Raises:
        CheckpointError: Otherwise; the message names the first missing, extra and misshapen key and how many there are.
    """
    own = module.state_dict()
    problems = []
    for word, keys in (("missing", own.keys() - state.keys()), ("unknown", state.keys() - own.keys())):
        if keys:
            problems.append(f"{len(keys)} {word}, first {min(keys)}")
    misshapen = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    if misshapen:
        key = misshapen[0]
        problems.append(
            f"{len(misshapen)} misshapen, first {key}: {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} in the model"
        )
    if problems:
        raise CheckpointError(f"{path}: the weights do not fit: {'; '.join(problems)}")
    bad = [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise CheckpointError(f"{path}: {len(bad)} weights are not finite numbers, first {min(bad)}")
    module.load_state_dict(dict(state))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Tensors of a checkpoint file of any accepted kind, and the header that rebuilds its model if it has one.

    Raises:
        CheckpointError: If the file is missing, damaged, or would need to run code.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise almost anything
        if is_memory(error):
            raise
        raise CheckpointError(f"{path}: not a checkpoint of plain tensors: {_diagnose(path, error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dictionary of tensors")
    header = None
    if "state_dict" in content:  # Lightning
        hyper_parameters, content = content.get("hyper_parameters"), content["state_dict"]
        header = hyper_parameters.get("model") if isinstance(hyper_parameters, dict) else None
        if not (isinstance(header, dict) and header.get("format") == FORMAT):  # somebody else's
            header = None
    bad = (
        [key for key, value in content.items() if not (isinstance(key, str) and _is_plain(value))]
        if isinstance(content, dict)
        else ["state_dict"]
    )
    if bad or not content:
        raise CheckpointError(
            f"{path}: not a dictionary of tensors" + (f" ({bad[0]!r} is none)" if bad else " (it is empty)")
        )
    try:
        check_unpacked(
            sum(value.numel() * value.element_size() for value in content.values()), path.stat().st_size
        )  # one stored number may stand for many
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return {key.removeprefix("model.") if header else key: value for key, value in content.items()}, header


def check_archive(path: Path) -> None:
    """Raise a BadZipFile for what torch.load would not see: a wrong checksum, or more content than bytes, which it never writes."""
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > path.stat().st_size:
            raise zipfile.BadZipFile("compressed")
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(damaged)


def _is_plain(value: object) -> bool:
    """Whether it is a dense tensor of real numbers that holds its data."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_meta or value.is_complex() or value.is_quantized)
    )


def _diagnose(path: Path, error: Exception) -> str:
    """What is wrong with a file, without torch's advice to load it unsafely."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return "it is empty"
    if start.startswith(b"<"):
        return "it is a web page; download the file itself"
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
        return "it holds code, which is never run"
    return "it is damaged, cut short, or of another kind"


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    if _HEADER_KEY not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not one of ours (no {_HEADER_KEY!r} header)")
    try:
        header = parse_json(metadata[_HEADER_KEY])
    except ValueError as error:
        raise CheckpointError(f"{path}: its header is damaged ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise CheckpointError(f"{path}: format {found!r} is not known here; this version reads {FORMAT}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}, header


def spec_from_header(header: Mapping[str, Any], path: Path | str) -> ModelSpec:
    """Parts and classes that a stored header describes; `path` is where it came from, for messages."""
    try:
        backbone: BackboneConfig = from_dict(BACKBONES.get(header["backbone"]["name"]), header["backbone"], "backbone")
        seq: SequenceHeadConfig = from_dict(SEQUENCE_HEADS.get(header["seq"]["name"]), header["seq"], "seq")
        classes = header["classes"]
        if not isinstance(classes, list) or not classes or (problem := label_problem(classes)):
            raise TypeError(problem if isinstance(classes, list) and classes else "classes is no list of labels")
        return ModelSpec(backbone, seq, tuple(classes))
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: its header does not describe a model of this version ({error})") from error


def _num_classes(state: Mapping[str, Tensor], path: Path) -> int:
    for key, value in state.items():
        if key.endswith(("strong_head.bias", "classifier.strong.bias")) and value.ndim == 1 and len(value):
            return len(value)
    raise CheckpointError(
        f"{path}: holds no classifier (strong_head.bias); a training starts from its backbone with backbone.init={path}"
    )
