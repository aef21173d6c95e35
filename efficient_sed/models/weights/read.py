"""Reading tensors from checkpoint files: our safetensors, released .pt files, Lightning's .ckpt.

Files are read by safetensors and by `torch.load(weights_only=True)`, so that no code in them is ever run.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from efficient_sed.errors import CheckpointError
from efficient_sed.files.json import parse_json
from efficient_sed.files.npz import check_unpacked
from efficient_sed.machine.memory import is_memory
from efficient_sed.models.weights.header import FORMAT, HEADER_KEY


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
        if not (isinstance(header, dict) and header.get("format") == FORMAT):  # of another project
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
    """Raise a BadZipFile for what torch.load does not check.

    That is a wrong checksum, or more content than bytes, which it never writes.
    """
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
    if HEADER_KEY not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not one of ours (no {HEADER_KEY!r} header)")
    try:
        header = parse_json(metadata[HEADER_KEY])
    except ValueError as error:
        raise CheckpointError(f"{path}: its header is damaged ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise CheckpointError(f"{path}: format {found!r} is not known here; this version reads {FORMAT}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}, header


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
            f"{len(misshapen)} misshapen, first {key}: {tuple(state[key].shape)} in the file, "
            f"{tuple(own[key].shape)} in the model"
        )
    if problems:
        raise CheckpointError(f"{path}: the weights do not fit: {'; '.join(problems)}")
    bad = [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise CheckpointError(f"{path}: {len(bad)} weights are not finite numbers, first {min(bad)}")
    module.load_state_dict(dict(state))
