"""Tables of results and costs, and the rows behind them."""

from __future__ import annotations

import copy
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from result_files import RECORD, RESULT
from rich.console import Console
from rich.table import Table

from efficient_sed.benchmark.speed import unmeasured
from efficient_sed.cli.tables import complexity_table, result_table
from efficient_sed.experiment.record import write_csv


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def text_of(table: Table) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


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
