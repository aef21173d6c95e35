"""Measures many models into one CSV of results, within a time, and goes on where it was broken off."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from efficient_sed.benchmark.speed import check_protocol, precisions_on
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.errors import require
from efficient_sed.experiment.benchmark_csv import append_csv, read_benchmark_csv, results_file
from efficient_sed.experiment.measure import benchmark_model
from efficient_sed.machine.cores import only_cores
from efficient_sed.machine.environment import choose_device, device_name, one_line
from efficient_sed.machine.progress import progress

logger = logging.getLogger(__name__)


def results_path(folder: Path, config: BenchmarkConfig) -> Path:
    """The CSV of the device, precision and clock of a configuration, and of this version of PyTorch.

    Raises:
        ConfigError: If it measures several precisions, or cannot be carried out on that device.
    """
    device = choose_device(config.device, "benchmark.device")
    check_protocol(config, device)
    precision, *others = precisions_on(config, device)
    require(
        not others, "benchmark.precision", ",".join(config.precision), "one of them with --results, a file for each"
    )
    version = torch.__version__.partition("+")[0]  # a build with CUDA computes on a CPU as others do
    if device.type == "cuda":
        version += f"-cu{torch.version.cuda}"
    with only_cores(config.threads):
        return results_file(folder, device_name(device), precision, version, config.clock)


def measure_missing(
    path: Path, names: Sequence[str], config: BenchmarkConfig, budget_s: float | None = None
) -> list[str]:
    """Measure models that a CSV does not have yet; each has its row as soon as it is measured.

    Released weights that are not here are not fetched. A model that cannot be measured is left out with a warning.

    Args:
        path: The file; it may be missing.
        names: Models in the order in which they are measured.
        config: How they are measured.
        budget_s: Seconds after which no further model is begun; default None, no limit.

    Returns:
        Models that the time was too short for.

    Raises:
        DataError: If the file is something else, or cannot be written.
    """
    known = {row["model"] for row in read_benchmark_csv(path)}
    missing = [name for name in dict.fromkeys(names) if name not in known]
    end = time.monotonic() + (float("inf") if budget_s is None else budget_s)
    with progress("models", len(missing), is_drawn=sys.stderr.isatty()) as measured:
        for index, name in enumerate(missing):
            if time.monotonic() >= end:
                return missing[index:]
            try:
                record = benchmark_model(name, config, may_download=False)
            except Exception as error:  # of whatever kind: it costs no other model
                logger.warning("left out: %s: %s", name, one_line(error))
                logger.debug("why", exc_info=error)
            else:
                append_csv(path, [record])
            measured(1)
    return []
