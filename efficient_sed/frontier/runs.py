"""Finished runs below a folder, and the names of the files that are drawn of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.experiment.result_file import RESULT_FILE, read_result
from efficient_sed.files.folders import walk_files

logger = logging.getLogger(__name__)


def output_base(output: Path) -> Path:
    """Path of a plot's files without their endings.

    In a folder they are called `frontier`; the ending of a plot's file is removed.
    """
    return (
        output / "frontier"
        if output.is_dir()
        else output.with_suffix("")
        if output.suffix in {".png", ".svg", ".html", ".csv"}
        else output
    )


def with_ending(base: Path, ending: str) -> Path:
    """Path of one file of a plot; the base's own name may hold dots."""
    return base.with_name(f"{base.name}.{ending}")


def find_runs(folder: Path) -> list[Path]:
    """Folders of all finished runs below a folder; folders that cannot be read are logged as warnings.

    Raises:
        DataError: If there is none.
    """
    unreadable: list[OSError] = []
    runs = sorted(path.parent for path in walk_files(folder, unreadable.append) if path.name == RESULT_FILE)
    messages = [f"{error.filename}: cannot be read ({error.strerror})" for error in unreadable if folder.exists()]
    if not runs:
        raise DataError(messages[0] if messages else f"no finished run below {folder}; train one with: make sweep")
    for message in messages:
        logger.warning("%s; runs in it are left out", message)
    return runs


def read_results(folders: Iterable[Path]) -> list[tuple[Path, Mapping[str, Any]]]:
    """Finished runs with their folders; folders without a result are skipped, and results without costs are logged.

    Raises:
        DataError: If a result is damaged, or none has costs; the message names the file.
    """
    found = [(folder, result) for folder in folders if (result := read_result(folder)) is not None]
    without = [folder for folder, result in found if result["complexity"] is None]
    advice = "scored from tables without costs; `efficient-sed score … --params N --macs M` gives them"
    if without and len(without) == len(found):
        raise DataError(f"{without[0]}: {advice}")
    for folder in without:
        logger.warning("%s: left out, %s", folder, advice)
    return [(folder, result) for folder, result in found if folder not in without]
