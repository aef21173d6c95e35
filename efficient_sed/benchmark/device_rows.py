"""Finished runs with the speed that their exported models have on another machine: what `efficient-sed benchmark MODEL.onnx --json` brings back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.benchmark.result_file import check_result, main_score
from efficient_sed.errors import DataError
from efficient_sed.export.recipes import EXACT

MEASURED = ("throughput", "latency", "peak_memory_mb", "peak_memory_of", "repeats")
HOW_TO_MEASURE = "efficient-sed benchmark MODEL.onnx --json > FILE"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Records of a file.

    Raises:
        DataError: If it is something else.
    """
    try:
        records: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"--device {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"--device {path}: no JSON ({error}); make it by: {HOW_TO_MEASURE}") from error
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) and {"model", "signature", "score", "complexity"} <= record.keys() for record in records):
        raise DataError(f"--device {path}: not what an exported model was measured by; make it by: {HOW_TO_MEASURE}")
    return records


def results_on_device(results: Sequence[tuple[Path, Mapping[str, Any]]], files: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Of each record the run that its model comes from, with the record's speed, and the score of its precision.

    Args:
        results: Finished runs and their folders.

    Raises:
        DataError: If a file is something else, its model comes from none of the runs, or has no score on that run's data.
    """
    runs = {str(result["signature"]): (folder, result) for folder, result in results}
    found = []
    for file in files:
        for record in read_rows(file):
            if record["signature"] not in runs:
                reason = f"its run {record['signature']} is not among those drawn" if record["signature"] else "a released one; only runs have a result to draw"
                raise DataError(f"--device {file}: {record['model']}: {reason}")
            folder, run = runs[record["signature"]]
            result = _on_device(record, run, file)
            try:
                check_result(result)
            except ValueError as error:
                raise DataError(f"--device {file}: damaged ({error}); measure again by: {HOW_TO_MEASURE}") from error
            found.append((folder, result))
    return found


def _on_device(record: Mapping[str, Any], run: Mapping[str, Any], file: Path) -> dict[str, Any]:
    measured = record["complexity"] if isinstance(record["complexity"], Mapping) else {}
    result = {**run, "complexity": {**run["complexity"], **{key: measured.get(key) for key in MEASURED}}}
    precision = (measured.get("throughput") or {}).get("precision", EXACT)
    if precision == EXACT:
        return result
    metric, title = main_score(run)
    score = record["score"] or {}
    if score.get("metric") != metric or score.get("manifest_hash") != run["data"]["manifest_hash"]:
        raise DataError(
            f"--device {file}: {record['model']} in {precision} has no {title} on its run's data in that engine; export it with --precision {precision} data={run['data']['name']}"
        )
    own = {key: value for key, value in run["metrics"].items() if key in ("variant", "coverage")}  # the others are those of float32
    return {**result, "model": f"{run['model']} {precision}", "metrics": {**own, metric: score["value"]}}
