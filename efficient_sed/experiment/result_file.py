"""`result.json`: what a finished run has to say of itself, and how it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError, is_printable
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.json import parse_json
from efficient_sed.metrics.contracts import Score, all_scores, leading_score

RESULT_FILE = "result.json"
ROUNDING = 1e-9
SCORED_FROM = "scored_from"
"""Of a result of `efficient-sed score`: the tables. Its "complexity" is null, or what was given."""
TASKS = ("detection", "tagging")
TORCH = "environment.versions.torch"
TEXTS = (
    "model", "backbone", "head", "signature", "data.name", "data.manifest_hash", "training.device",
    "environment.commit", "environment.created", TORCH,
)  # fmt: skip
OPTIONAL_TEXTS = ("complexity.macs_note", "complexity.energy_method", "training.energy_method", "environment.device")
POSITIVE = ("complexity.params", "complexity.macs", "complexity.seconds")
SPEED = "complexity.throughput"
"""Null in a run whose speed could not be measured; else these are there, too:"""
SPEED_TEXTS = (f"{SPEED}.device", f"{SPEED}.precision")
SPEED_OPTIONAL_TEXTS = (f"{SPEED}.mode",)
SPEED_ENVIRONMENT = "complexity.speed_environment"
"""Not in results of early versions, whose speed was measured in "environment"."""
SPEED_ENVIRONMENT_TEXTS = tuple(f"{SPEED_ENVIRONMENT}.{key}" for key in ("commit", "created", "versions.torch"))
SPEED_POSITIVE = (f"{SPEED}.clips_per_s", f"{SPEED}.batch_size", "complexity.latency.ms")
COUNTS = (
    "seed",
    "training.steps",
    "config.train.epochs",
    "metrics.coverage.clips_scored",
    "complexity.macs_by_part.frontend",
)
OPTIONAL = (
    "metrics.variant.median_frames", "training.energy_kwh", "complexity.energy_j_per_clip",
    "complexity.peak_memory_mb", "complexity.macs_deepspeed",
    "complexity.macs_published",
    "complexity.macs_by_part.backbone", "complexity.macs_by_part.sequence", "complexity.macs_by_part.classifier",
)  # fmt: skip
PAIRS = (f"{SPEED}.iqr",)


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result of a finished run, None for an unfinished one.

    Raises:
        DataError: If the file is damaged, or cannot be read; the message names it.
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        return None
    try:
        result: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        check_result(result)
    except OSError as error:  # the run may be whole
        raise DataError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); delete the file and start the run again") from error
    return result


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write a result as a whole; what is not a finite number, which JSON cannot say, as null.

    Raises:
        OSError: If it cannot be written.
    """
    write_atomically(folder / RESULT_FILE, json.dumps(_finite(result), indent=1, allow_nan=False).encode())


def check_result(result: Any) -> None:
    """Raise a ValueError unless all that tables, plots and comparisons read is there and of its kind."""
    task = _at(result, "task")
    if not isinstance(task, str) or task not in TASKS:
        raise ValueError(f"task={task!r} is not one of {', '.join(TASKS)}")
    is_from_tables = isinstance(_at(result, SCORED_FROM, is_optional=True), Mapping)
    has_costs = not (is_from_tables and _at(result, "complexity") is None)
    has_speed = has_costs and _at(result, SPEED, is_optional=True) is not None
    has_environment = has_costs and _at(result, SPEED_ENVIRONMENT, is_optional=True) is not None
    texts = [key for key in TEXTS if not (is_from_tables and key == TORCH)]  # which such scores do not need
    for key in (*texts, *(SPEED_TEXTS if has_speed else ()), *(SPEED_ENVIRONMENT_TEXTS if has_environment else ())):
        value = _at(result, key)
        _require(isinstance(value, str) and is_printable(value), result, key, "text on one line")
    if has_costs:
        _at(result, SPEED)  # null at least
    for key in (*OPTIONAL_TEXTS, *(SPEED_OPTIONAL_TEXTS if has_speed else ())):
        value = _at(result, key, is_optional=True)
        _require(
            value is None or (isinstance(value, str) and is_printable(value)), result, key, "text on one line, or null"
        )
    _require(isinstance(_at(result, "metrics"), Mapping), result, "metrics", "a table")
    score = f"metrics.{main_score(result).key}"
    positive = (*POSITIVE, *(SPEED_POSITIVE if has_speed else ()))
    numbers = [key for key in (*positive, *COUNTS, score) if has_costs or not key.startswith("complexity.")]
    for key in numbers:
        value = _at(result, key)
        _require(is_number(value), result, key, "a number")
        allowed = "above 0" if key in positive else "0 or more"
        _require(value > 0 or (value == 0 and key not in positive), result, key, allowed)
    for key in OPTIONAL:
        value = _at(result, key, is_optional=True)
        _require(value is None or (is_number(value) and value >= 0), result, key, "a number from 0, or null")
    for declared in all_scores(task).values():
        value = _at(result, f"metrics.{declared.key}", is_optional=True)
        is_allowed = value is None or (
            is_number(value) and declared.least - ROUNDING <= value <= declared.most + ROUNDING
        )
        _require(is_allowed, result, f"metrics.{declared.key}", f"{declared.range}, or null")
    interval = f"{score}_ci95"
    for key in (
        *(PAIRS if has_speed else ()),
        *([interval] if _at(result, interval, is_optional=True) is not None else []),
    ):
        value = _at(result, key)
        _require(isinstance(value, list) and len(value) == 2 and all(map(is_number, value)), result, key, "two numbers")
    for key in ("metrics.variant", "config.train", "config.data", "environment.versions"):
        _require(isinstance(_at(result, key), Mapping), result, key, "a group of keys")


def main_score(result: Mapping[str, Any]) -> Score:
    """The score that tables lead with: PSDS for detection; accuracy where a clip has one class, else mAP."""
    return leading_score(result["task"], result["metrics"])


def exact_variant(metrics: Mapping[str, Any]) -> str:
    """The exact variant of a result's metrics and the number of clips that were scored, as JSON."""
    return json.dumps({**metrics["variant"], "clips_scored": metrics["coverage"]["clips_scored"]}, sort_keys=True)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _at(result: Any, key: str, *, is_optional: bool = False) -> Any:
    """The value at a dotted key; one that is missing raises, or is None."""
    value = result
    for depth, name in enumerate(key.split("."), 1):
        if value is None and is_optional:
            return None
        if not isinstance(value, Mapping):
            group = ".".join(key.split(".")[: depth - 1]) or "the file"
            raise ValueError(f"{group} is not a group of keys")  # noqa: TRY004 (of the file, not of a call)
        if name not in value:
            if is_optional:
                return None
            raise ValueError(f"{key} is missing")
        value = value[name]
    return value


def _require(condition: bool, result: Any, key: str, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{key}={_at(result, key)!r} is not {allowed}")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
