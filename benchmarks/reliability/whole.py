"""Checks that files at their final names are complete, and lists hidden files that are left."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import soundfile
from omegaconf import OmegaConf

from efficient_sed.experiment.result_file import RESULT_FILE, read_result
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.models.weights.read import read_checkpoint
from efficient_sed.sweep.run_process import LOG_FILE
from efficient_sed.training.curves import METRICS_FILE

PNG_END = b"IEND\xaeB`\x82"
GROWING = (LOG_FILE, METRICS_FILE, "hparams.yaml")  # written line by line, and written again by the next start
UNFINISHED = (".part", ".part.etag", ".lock")  # whose names say so


def broken_files(folder: Path) -> list[str]:
    """What is wrong with any file below a folder that its name calls finished; empty if nothing is."""
    problems = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        is_finished = not any(
            part.startswith(".") for part in path.relative_to(folder).parts
        ) and not path.name.endswith(UNFINISHED)
        if not is_finished or path.name in GROWING or path.stem.startswith("metrics_part"):
            continue
        try:
            READERS[path.suffix](path)
        except Exception as error:
            problems.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return problems


def hidden_files(folder: Path) -> list[str]:
    """Hidden files and folders below a folder but for locks, which hold nothing."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob(".*") if path.suffix != ".lock" and path.name != ".lock"
    )


def read_h5(path: Path) -> dict[str, bytes]:
    """Every data set and attribute, read to its end."""
    content: dict[str, bytes] = {}

    def keep(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            content[name] = np.asarray(item[()]).tobytes() if item.dtype.kind != "O" else repr(item[()]).encode()

    with h5py.File(path, "r") as file:
        file.visititems(keep)
        content |= {f"attribute {name}": repr(value).encode() for name, value in file.attrs.items()}
    return content


def _read_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        raise ValueError("its last line does not end")
    for line in text.splitlines():
        json.loads(line)


def _read_json(path: Path) -> None:
    if path.name == RESULT_FILE:
        read_result(path.parent)
    json.loads(path.read_text())


def _read_npz(path: Path) -> None:
    with np.load(path) as stored:
        for name in stored.files:
            stored[name]


def _read_csv(path: Path) -> None:
    rows = list(csv.reader(path.read_text().splitlines()))
    if len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different lengths, or none")


def _ends_with(end: bytes) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        if not path.read_bytes().rstrip().endswith(end):
            raise ValueError(f"does not end with {end!r}")

    return check


def _read_text(path: Path) -> None:
    if not path.read_text().strip():
        raise ValueError("empty")


READERS: dict[str, Callable[[Path], object]] = {
    ".json": _read_json, ".npz": _read_npz, ".yaml": OmegaConf.load, ".csv": _read_csv, ".h5": read_h5,
    ".txt": _read_text, ".tsv": _read_text, ".sha256": _read_text,
    ".jsonl": _read_lines,
    ".png": _ends_with(PNG_END), ".svg": _ends_with(b"</svg>"), ".html": _ends_with(b"</html>"),
    ".ckpt": read_checkpoint, ".pt": read_checkpoint, ".safetensors": read_checkpoint, ".flac": soundfile.read,
    ".onnx": lambda path: ExportedModel(str(path)),
}  # fmt: skip
