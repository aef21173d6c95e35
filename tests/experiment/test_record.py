"""Rows of tables, and files of them that grow."""

from __future__ import annotations

import copy
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from efficient_sed.benchmark.speed import unmeasured
from efficient_sed.cli.tables import complexity_table, result_table
from efficient_sed.errors import DataError
from efficient_sed.experiment.record import (
    COMPLEXITY_COLUMNS,
    append_csv,
    complexity_row,
    repeated_rows,
    result_columns,
    write_csv,
)

RECORD: dict[str, Any] = {
    "model": "fmn04",
    "complexity": {
        "params": 528_448, "macs": 184_500_000,
        "macs_by_part": {"frontend": 38_000_000, "backbone": 181_100_000}, "macs_deepspeed": None, "seconds": 10.0,
        "throughput": {"clips_per_s": 31.5, "iqr": [30.0, 33.0], "batch_size": 4, "precision": "fp32",
                       "device": "CPU of a kind, 1 threads"},
        "latency": {"ms": 33.25}, "peak_memory_mb": 700.5,
    },
    "environment": {"versions": {"torch": "2.11.0"}, "commit": "abc", "created": "2026-11-20T00:00:00+00:00"},
}  # fmt: skip
RESULT: dict[str, Any] = RECORD | {
    "task": "detection",
    "seed": 1,
    "signature": "0123456789",
    "metrics": {"psds1_macro": 0.4567, "psds1": 0.3, "coverage": {"clips_scored": 16}, "variant": {"median_frames": 1}},
    "data": {"name": "synthetic", "manifest_hash": "cafe"},
    "config": {"train": {"epochs": 5}, "data": {}},
    "training": {"steps": 60, "device": "CPU of a kind"},
}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def text_of(table: Table) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_every_column_is_filled() -> None:
    assert tuple(complexity_row(RECORD)) == COMPLEXITY_COLUMNS
    assert repeated_rows([RESULT])[0].keys() == set(result_columns())


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


def test_appending_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "costs.csv"
    append_csv(path, [RECORD])
    first = path.read_text()
    append_csv(path, [RECORD | {"model": 'a, "quoted" name'}, RECORD])
    assert path.read_text().startswith(first)
    rows = read(path)
    assert [row["model"] for row in rows] == ["fmn04", 'a, "quoted" name', "fmn04"]
    assert (
        rows[0]
        == rows[2]
        == {key: "" if value is None else str(value) for key, value in complexity_row(RECORD).items()}
    )


@pytest.mark.parametrize("content", ["model,params\nfmn10,1\n", "", "not a table"])
def test_foreign_files_are_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"costs\.csv: its columns are not those of a benchmark; give another file$"):
        append_csv(path, [RECORD])
    assert path.read_text() == content


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"costs\.csv: cannot be written"):
        append_csv(tmp_path / "file" / "costs.csv", [RECORD])
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


def test_tables_name_their_conditions() -> None:
    costs = text_of(complexity_table([RECORD]))
    for piece in (
        "528,448",
        "184.5 M",
        "31.5",
        "33.2",
        "not installed",
        "CPU of a kind, 1 threads, fp32, batch 4, clips of 10 s",
        "front end left out",
    ):
        assert piece in costs
    better = RESULT | {"model": "fmn10", "metrics": RESULT["metrics"] | {"psds1_macro": 0.9}}
    results = text_of(result_table([RESULT, better]))
    assert results.index("fmn10") < results.index("fmn04")
    assert "0.457" in results


def test_event_scores_have_columns_where_a_run_has_them(tmp_path: Path) -> None:
    office = RESULT | {"model": "office", "metrics": RESULT["metrics"] | {"onset_f": 0.875, "segment_error_rate": 1.25}}
    assert "onset F" not in text_of(result_table([RESULT]))
    text = text_of(result_table([RESULT, office]))
    assert "onset F" in text
    assert "0.875" in text
    assert "1.250" in text
    rows = read(write_csv(tmp_path / "r.csv", [RESULT, office]))
    assert [(row["onset_f"], row["segment_error_rate"]) for row in rows] == [("", ""), ("0.875", "1.25")]


def test_seeds_are_averaged_in_tables(tmp_path: Path) -> None:
    def run(seed: int, score: float, clips_per_s: float, **changes: Any) -> dict[str, Any]:
        result = (
            copy.deepcopy(RESULT)
            | {
                "seed": seed,
                "signature": f"s{seed}{changes}",
                "config": {"seed": seed, "train": {"epochs": 5}, "output_dir": f"runs{seed}"},
            }
            | changes
        )
        result["metrics"]["psds1_macro"] = score
        result["complexity"]["throughput"]["clips_per_s"] = clips_per_s
        return result

    runs = [run(2, 0.5, 40.0), run(0, 0.3, 20.0), run(1, 0.4, 90.0)]
    longer = run(0, 0.9, 20.0, config={"seed": 0, "train": {"epochs": 9}})
    elsewhere = run(3, 0.8, 20.0, data={"name": "synthetic", "manifest_hash": "beef"})
    text = text_of(result_table([*runs, longer, elsewhere, runs[0]]))
    for piece in ("0.400 ± 0.100", "0 1 2", "40.0", "0.900", "0.800"):
        assert piece in text
    first, second, third = read(write_csv(tmp_path / "r.csv", [*runs, longer, elsewhere]))
    assert [float(first[key]) for key in ("score", "score_sd", "num_runs", "clips_per_s")] == pytest.approx(
        [0.4, 0.1, 3, 40]
    )
    assert (first["seed"], first["epochs"], first["onset_f_sd"]) == ("0 1 2", "5", "")
    assert [(row["num_runs"], row["score_sd"], row["score"]) for row in (second, third)] == [
        ("1", "", "0.9"),
        ("1", "", "0.8"),
    ]


def test_a_run_without_a_speed_is_shown_without_one(tmp_path: Path) -> None:
    """And is one more repetition of those that have one."""
    silent = copy.deepcopy(RESULT) | {"seed": 2, "signature": "silent"}
    silent["complexity"] |= unmeasured("out of memory")
    text = text_of(result_table([silent]))
    assert "184.5 M" in text
    assert "clips/s:" not in text
    (row,) = read(write_csv(tmp_path / "r.csv", [silent, RESULT]))
    assert (row["num_runs"], row["clips_per_s"], row["batch_size"], row["device"]) == (
        "2",
        "31.5",
        "4",
        "CPU of a kind, 1 threads",
    )
    (row,) = read(write_csv(tmp_path / "r.csv", [silent]))
    assert (row["score"], row["clips_per_s"], row["clips_per_s_q1"], row["device"]) == ("0.4567", "", "", "")
