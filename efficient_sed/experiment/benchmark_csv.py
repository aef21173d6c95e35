"""CSV files of what models cost: a row a model, with its conditions, in one schema.

`efficient-sed benchmark --csv FILE` appends to any file; `--results FOLDER` to the one that is named by device,
precision and version of PyTorch, as timm's result files are.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.experiment.record import complexity_row, write_rows
from efficient_sed.files.locks import locked

SCHEMA = 2
"""Of the columns below; files without the column `schema` are of version 1."""
BENCHMARK_COLUMNS: Mapping[str, str] = {
    "model": "a released name, or an architecture such as fmn10+tf-256",
    "params": "parameters",
    "macs": "multiply-accumulates of a clip, without the front end",
    "activations": "elements of the outputs of all layers that multiply, of a clip",
    "activations_peak": "elements of input and output of the layer where they are most",
    "clips_per_s": "median throughput",
    "clips_per_s_q1": "its lower quartile",
    "clips_per_s_q3": "its upper quartile",
    "batch_size": "clips in a pass, of the throughput",
    "latency_ms": "median of a pass over one clip",
    "peak_memory_mb": "the most memory during a pass: on a CPU of the whole process, on a GPU what PyTorch allocated",
    "energy_j_per_clip": "joules of a clip; empty where the machine does not tell",
    "energy_method": "what told them",
    "load_ms": "median time in which `es.load_model` loads a file of such weights that lies in the system's cache",
    "score": "the leading score of a released model, as on its card; a random one has none",
    "metric": "of the score",
    "scored_on": "data set of the score",
    "score_source": "`published`: by the weights' authors; `measured`: by a training of this project",
    "weights": "what the costs were measured with: `trained`, or `random` where the released file was not there",
    "seconds": "length of a clip",
    "mode": "`fused`, or what else the headline speed is of",
    "precision": "of the throughput",
    "device": "processor and threads, or GPU",
    "clock": "`wall`, or `cpu` for the time that the process computed, which other programs hardly lengthen",
    "load_1min": "load of the machine when the row was measured on a CPU: above the threads it was busy otherwise",
    "torch": "version",
    "commit": "of this package",
    "created": "when",
    "macs_frontend": "multiply-accumulates of the front end",
    "macs_deepspeed": "what DeepSpeed's profiler counts; empty where it is not installed",
    "macs_published": "what a paper states",
    "macs_note": "why these differ",
    "schema": "version of these columns",
}
"""Columns, and what they hold."""
NUMBERS = {
    "params", "macs", "activations", "activations_peak", "clips_per_s", "clips_per_s_q1", "clips_per_s_q3",
    "batch_size", "latency_ms", "peak_memory_mb", "energy_j_per_clip", "load_ms", "score", "seconds", "load_1min",
    "macs_frontend", "macs_deepspeed", "macs_published",
}  # fmt: skip
"""Columns that hold numbers."""


def results_file(folder: Path, device: str, precision: str, torch_version: str, clock: str = "wall") -> Path:
    """The file of a device, precision, version of PyTorch and clock: `benchmark-fp16-pt2110-cu130-nvidia-h200.csv`."""
    words = f"{precision} pt{torch_version.replace('.', '')} {device}{' CPU time' if clock == 'cpu' else ''}"
    return folder / f"benchmark-{re.sub(r'[^a-z0-9]+', '-', words.lower()).strip('-')}.csv"


def append_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Add one row per benchmarked model to a file that may exist; other processes may do so at the same time.

    Raises:
        DataError: If the file has other columns or cannot be written; it is left as it was.
    """
    try:
        with _only_writer(path):
            write_rows(path, tuple(BENCHMARK_COLUMNS), [*read_benchmark_csv(path), *map(_row, records)])
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error


def _only_writer(path: Path) -> contextlib.AbstractContextManager[None]:
    """A block that no other process is in with this file; of a stream such as /dev/stdout there is nothing to keep."""
    if path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)):
        return contextlib.nullcontext()
    path.parent.mkdir(parents=True, exist_ok=True)
    return locked(path.with_name(f".{path.name}.lock"))


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    complexity, score = record["complexity"], record.get("score") or {}
    return complexity_row(record) | {
        "load_ms": complexity.get("load_ms"),
        "score": score.get("value"),
        "metric": score.get("metric"),
        "scored_on": score.get("on"),
        "score_source": score.get("source"),
        "weights": record.get("weights"),
        **{key: (complexity["throughput"] or {}).get(key) for key in ("mode", "clock")},
        "load_1min": complexity.get("speed_conditions", {}).get("load_1min"),
        "schema": SCHEMA,
    }


def read_benchmark_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a file that `append_csv` made; none if there is no such file.

    Raises:
        DataError: If it is something else, of another schema version, or damaged; the message names the line.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a directory; give a file")
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no UTF-8 text at byte {error.start}; give another file") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        columns, rows = next(reader, []), [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}: damaged ({error}); delete the line, or give another file"
        ) from error
    _check_version(path, columns, [cells for _, cells in rows])
    for line, cells in rows:
        _check_cells(f"{path}:{line}", cells)
    return [dict(zip(columns, cells, strict=True)) for _, cells in rows]


def _check_version(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Raise a DataError for columns, or rows that are whole, of another schema version or something else."""
    whole = [dict(zip(columns, cells, strict=True)) for cells in rows if len(cells) == len(columns)]
    is_benchmark = {"model", "macs", "created"} <= set(columns)
    versions = {row.get("schema", "1") for row in whole} if is_benchmark else set()
    if others := sorted(versions - {str(SCHEMA), ""}):
        raise DataError(
            f"{path}: has schema version {others[0]}, allowed is {SCHEMA}; move the file away, and the same command "
            "measures into a new one"
        )
    if tuple(columns) != tuple(BENCHMARK_COLUMNS):
        raise DataError(f"{path}: its columns are not those of a benchmark; give another file")


def _check_cells(place: str, cells: Sequence[str]) -> None:
    """Raise a DataError for a row that is cut, or has other cells than its columns say."""
    advice = "delete the line, and the same command measures that model again"
    if len(cells) < len(BENCHMARK_COLUMNS) or not cells[-1]:  # the last one is the schema
        raise DataError(f"{place}: the row is cut; {advice}")
    if len(cells) > len(BENCHMARK_COLUMNS):
        raise DataError(f"{place}: has {len(cells)} cells, allowed are {len(BENCHMARK_COLUMNS)}; {advice}")
    for column, cell in zip(BENCHMARK_COLUMNS, cells, strict=True):
        if column in NUMBERS and cell and not _is_number(cell):
            raise DataError(f"{place}: {column}={cell} is not allowed: a number, or nothing; {advice}")


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return math.isfinite(float(text))
    return False
