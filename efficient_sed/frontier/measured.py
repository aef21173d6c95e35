"""What was measured of published models: from the shipped CSVs that `efficient-sed benchmark --results` writes."""

from __future__ import annotations

from functools import cache
from typing import Any

from efficient_sed.experiment.benchmark_csv import read_benchmark_csv
from efficient_sed.files.packaged import resource_folder
from efficient_sed.frontier.published import AUDIOSET_STRONG, PublishedModel


@cache
def _rows() -> dict[str, dict[str, str]]:
    """Rows by model; of several files that of the first by name."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(resource_folder("results").glob("benchmark-*.csv"), reverse=True):
        found |= {row["model"]: row | {"file": f"benchmarks/results/{path.name}"} for row in read_benchmark_csv(path)}
    return found


def measured_row(model: PublishedModel) -> dict[str, str]:
    """What was measured of a published model: as it was released, else its architecture with as many classes."""
    rows = _rows()
    architecture = model.model if model.data == AUDIOSET_STRONG else ""
    return rows.get(model.label) or rows.get(f"{architecture}_strong") or rows.get(architecture) or {}


def measured_costs(row: dict[str, str]) -> dict[str, list[Any]]:
    """Value of each cost, and what it was measured with; throughput is the paper's, on its own machine."""
    if not row:
        return {}
    seconds = f"{float(row['seconds']):g} s"
    clock = ("CPU time",) if row["clock"] == "cpu" else ()
    conditions = {
        "activations": f"per {seconds}",
        "activations_peak": f"clips of {seconds}",
        "latency_ms": ", ".join((row["device"], row["precision"], row["mode"], *clock, f"clips of {seconds}")),
    }
    return {key: [float(row[key]), condition] for key, condition in conditions.items() if row[key]}


def measured_by(row: dict[str, str]) -> str:
    """File, version and commit of a row."""
    return f"{row['file']}, torch {row['torch']}, commit {row['commit']}, {row['weights']} weights" if row else ""
