"""Rows of tables, and files of them that grow."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import pytest
from result_files import RECORD, RESULT

from efficient_sed.errors import DataError
from efficient_sed.experiment.record import (
    COMPLEXITY_COLUMNS,
    complexity_row,
    repeated_rows,
    result_columns,
    write_csv,
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_column_is_filled() -> None:
    assert tuple(complexity_row(RECORD)) == COMPLEXITY_COLUMNS
    assert repeated_rows([RESULT])[0].keys() - {"options", "data_words"} == set(result_columns())


def test_a_speed_that_was_measured_later_says_with_what() -> None:
    later = RECORD["environment"] | {
        "versions": {"torch": "2.12.0"},
        "commit": "def",
        "created": "2026-12-01T00:00:00+00:00",
    }
    result = RESULT | {"complexity": RESULT["complexity"] | {"speed_environment": later}}
    row = complexity_row(result)
    assert (row["torch"], row["commit"], row["created"]) == ("2.12.0", "def", later["created"])
    (row,) = repeated_rows([result])
    assert (row["torch"], row["commit"], row["created"]) == (
        "2.11.0 2.12.0",
        "abc def",
        RECORD["environment"]["created"],
    )


def test_records_of_early_versions_know_no_published_macs() -> None:
    assert (complexity_row(RECORD)["macs_published"], complexity_row(RECORD)["macs_note"]) == (None, None)
    known = RECORD | {
        "complexity": RECORD["complexity"] | {"macs_published": 223_000_000, "macs_note": "published agrees to -0.5%"}
    }
    assert (complexity_row(known)["macs_published"], complexity_row(known)["macs_note"]) == (
        223_000_000,
        "published agrees to -0.5%",
    )


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"results\.csv: cannot be written"):
        write_csv(tmp_path / "file" / "results.csv", [RESULT])


def test_results_of_both_tasks(tmp_path: Path) -> None:
    tagging = copy.deepcopy(RESULT) | {
        "task": "tagging",
        "metrics": {"map": 0.5, "coverage": {"clips_scored": 16}, "variant": {}},
    }
    rows = read(write_csv(tmp_path / "results.csv", [RESULT, tagging]))
    assert [(row["metric"], row["score"], row["psds1"], row["median_frames"]) for row in rows] == [
        ("PSDS1 macro", "0.4567", "0.3", "1"),
        ("mAP", "0.5", "", ""),
    ]
