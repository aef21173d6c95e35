"""What an exported model costs in a process of its own, which shares neither memory nor imports with this one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from efficient_sed.errors import CheckpointError


def benchmark_alone(path: Path, engine: str, num_threads: int = 1) -> dict[str, Any]:
    """Measure an exported model, which must pass its self-test there, by `efficient-sed benchmark`.

    Args:
        path: The file.
        engine: Name of the engine.
        num_threads: Of the engine.

    Returns:
        The record of `efficient_sed.benchmark.exported.benchmark_exported`.

    Raises:
        CheckpointError: If the process cannot measure it; the message is that of the process.
    """
    options = [str(path), "--engine", engine, "--threads", str(num_threads), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "efficient_sed", "benchmark", *options], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"a process that measures it ended with status {done.returncode}"]
        raise CheckpointError(said[-1].removeprefix("efficient-sed: "))
    record: dict[str, Any] = json.loads(done.stdout)[0]
    return record
