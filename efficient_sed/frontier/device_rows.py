"""Finished runs with the speed that their exported models have on another machine.

That speed comes from files written there by `efficient-sed benchmark MODEL.onnx --json`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.benchmark.clock import MEASURED
from efficient_sed.errors import DataError
from efficient_sed.experiment.result_file import check_result, exact_variant, main_score
from efficient_sed.files.json import parse_json
from efficient_sed.inference.header import EXACT

logger = logging.getLogger(__name__)
OF_CLIP = ("seconds", "macs", "macs_by_part")
HOW_TO_MEASURE = "efficient-sed benchmark MODEL.onnx --json > FILE"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Records of a file.

    Raises:
        DataError: If it is something else.
    """
    try:
        records: Any = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"--device {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"--device {path}: no JSON ({error}); make it by: {HOW_TO_MEASURE}") from error
    if not isinstance(records, list) or not records or not all(map(_is_record, records)):
        raise DataError(f"--device {path}: not what an exported model was measured by; make it by: {HOW_TO_MEASURE}")
    return records


def _is_record(record: Any) -> bool:
    """Whether it has what is read here; what a result must have is checked when it has become one."""
    if (
        not isinstance(record, Mapping)
        or not isinstance(record.get("complexity"), Mapping)
        or not isinstance(record.get("environment"), Mapping)
    ):
        return False
    if not isinstance(record["environment"].get("versions"), Mapping | type(None)):
        return False
    speed, score = record["complexity"].get("throughput"), record.get("score")
    has_speed = isinstance(speed, Mapping) and all(
        isinstance(speed.get(key), str) for key in ("device", "precision", "mode")
    )
    has_score = score is None or (
        isinstance(score, Mapping) and {"metric", "value", "manifest_hash", "conditions"} <= score.keys()
    )
    return has_speed and has_score and all(isinstance(record.get(key), str) for key in ("model", "signature"))


def results_on_device(
    results: Sequence[tuple[Path, Mapping[str, Any]]], files: Sequence[Path]
) -> list[tuple[Path, dict[str, Any]]]:
    """Of each record the run that its model comes from, with the record's speed, and the score of its precision.

    Args:
        results: Finished runs and their folders.
        files: What exported models were measured by.

    Raises:
        DataError: If a file is something else, none of its models comes from the runs, or one has no score that
            compares with its run's; or if two records are of one model in one engine on one device.
    """
    runs = {str(result["signature"]): (folder, result) for folder, result in results}
    origins: dict[tuple[str, ...], Path] = {}
    found = []
    for file in files:
        for record in read_rows(file):
            if record["signature"] not in runs:
                logger.warning("--device %s: %s left out: it was exported from none of the runs", file, record["model"])
                continue
            speed = record["complexity"]["throughput"]
            key = (record["signature"], *(speed[name] for name in ("device", "precision", "mode")))
            if key in origins:
                raise DataError(
                    f"--device {file}: {record['model']} in {speed['precision']} was measured "
                    f"on {speed['device']} in {origins[key]} too; give one of them"
                )
            origins[key] = file
            folder, run = runs[record["signature"]]
            result = _on_device(record, run, file)
            try:
                check_result(result)
            except ValueError as error:
                raise DataError(f"--device {file}: damaged ({error}); measure again by: {HOW_TO_MEASURE}") from error
            found.append((folder, result))
    if not found:
        raise DataError(
            f"--device {' '.join(map(str, files))}: nothing in it was exported from one of the runs "
            "(runs/RUN/model.safetensors), which hold the scores"
        )
    return found


def _on_device(record: Mapping[str, Any], run: Mapping[str, Any], file: Path) -> dict[str, Any]:
    measured = record["complexity"]
    costs = {**run["complexity"], **{key: measured.get(key) for key in MEASURED}}
    costs.pop("speed_environment", None)  # of the run's own speed
    # which the model's name says: speeds of one device compare
    costs["throughput"] = costs["throughput"] | {"precision": "each model's own precision"}
    if measured.get("seconds") != costs["seconds"]:  # of clips as long as those that it was trained on
        costs |= {key: measured.get(key) for key in OF_CLIP} | {"macs_deepspeed": None, "macs_published": None}
    theirs = record["environment"]
    versions = run["environment"]["versions"] | {
        name: version for name, version in (theirs.get("versions") or {}).items() if version is not None
    }
    result = {
        **run,
        "complexity": costs,
        "environment": {**run["environment"], **theirs, "commit": run["environment"]["commit"], "versions": versions},
    }
    precision = measured["throughput"]["precision"]
    if precision == EXACT:
        return result
    metric, title = main_score(run).key, main_score(run).name
    score = record["score"] or {}
    expected = {
        "metric": metric,
        "manifest_hash": run["data"]["manifest_hash"],
        "conditions": exact_variant(run["metrics"]),
    }
    if any(score.get(key) != value for key, value in expected.items()):
        raise DataError(
            f"--device {file}: {record['model']} in {precision} has no {title} that compares with its run's, "
            "of the same data, clips and engine; "
            f"export it by --precision with data={run['data']['name']} as the run has it"
        )
    # the other entries are those of float32
    own = {key: value for key, value in run["metrics"].items() if key in ("variant", "coverage")}
    return {**result, "model": f"{run['model']} {precision}", "metrics": {**own, metric: score["value"]}}
