"""CSV files of what models cost: they grow, say their schema, and are told apart from others."""

from __future__ import annotations

import csv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from result_files import RECORD

from efficient_sed.errors import DataError
from efficient_sed.experiment.benchmark_csv import BENCHMARK_COLUMNS, append_csv, read_benchmark_csv, results_file
from efficient_sed.experiment.record import complexity_row
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.weights.cards import list_cards


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_appending_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "costs.csv"
    append_csv(path, [RECORD])
    first = path.read_text()
    append_csv(path, [RECORD | {"model": 'a, "quoted" name'}, RECORD])
    assert path.read_text().startswith(first)
    rows = read(path)
    assert rows == read_benchmark_csv(path)
    assert [row["model"] for row in rows] == ["fmn04", 'a, "quoted" name', "fmn04"]
    expected = {key: "" if value is None else str(value) for key, value in complexity_row(RECORD).items()}
    assert rows[0] == rows[2] == dict.fromkeys(BENCHMARK_COLUMNS, "") | expected | {"schema": "2"}


def test_two_that_append_at_once_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: append_csv(path, [RECORD | {"model": name}]), "abcdefgh"))
    assert sorted(row["model"] for row in read(path)) == [*"abcdefgh"]
    assert [file.name for file in tmp_path.iterdir()] == ["costs.csv"]


def test_scores_stand_with_their_data(tmp_path: Path) -> None:
    score = {"metric": "PSDS1 macro", "value": 0.43, "on": "audioset_strong", "source": "published"}
    record = RECORD | {"score": score, "weights": "random"}
    append_csv(tmp_path / "costs.csv", [record])
    (row,) = read(tmp_path / "costs.csv")
    keys = ("score", "metric", "scored_on", "score_source", "weights")
    assert [row[key] for key in keys] == ["0.43", "PSDS1 macro", "audioset_strong", "published", "random"]


@pytest.mark.parametrize(("found", "columns"), [("1", None), ("3", "model,macs,created,schema,later\nx,1,now,3,new\n")])
def test_another_schema_is_refused(tmp_path: Path, found: str, columns: str | None) -> None:
    path = tmp_path / "costs.csv"
    append_csv(path, [RECORD])
    path.write_text(columns or "\n".join(line.rpartition(",")[0] for line in path.read_text().splitlines()) + "\n")
    before = path.read_text()
    with pytest.raises(DataError, match=rf"costs\.csv: has schema version {found}, allowed is 2; move the file away, "):
        append_csv(path, [RECORD])
    assert path.read_text() == before


@pytest.mark.parametrize("content", ["model,params\nfmn10,1\n", "", "not a table"])
def test_foreign_files_are_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"costs\.csv: its columns are not those of a benchmark; give another file$"):
        append_csv(path, [RECORD])
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-20], r"costs\.csv:3: the row is cut; delete the line, and the same command measures"),
        (lambda text: text[:-2], r"costs\.csv:3: the row is cut"),
        (lambda text: text[:-1] + ",new\n", r"costs\.csv:3: has 34 cells, allowed are 33"),
        (
            lambda text: text.replace("184500000", "abc", 1),
            r"costs\.csv:2: macs=abc is not allowed: a number, or nothing",
        ),
        (lambda text: text.replace("184500000", "nan", 1), r"costs\.csv:2: macs=nan is not allowed"),
        (
            lambda text: text.replace("fmn04", "x" * 200_000, 1),
            r"costs\.csv:2: damaged \(field larger than",
        ),
        (lambda text: text.replace("fmn04", "fmn\u00e4", 1), r"costs\.csv: no UTF-8 text at byte \d+"),
    ],
)
def test_a_damaged_file_is_refused_as_it_is(tmp_path: Path, damage: Callable[[str], str], words: str) -> None:
    path = tmp_path / "costs.csv"
    append_csv(path, [RECORD, RECORD])
    path.write_text(damage(path.read_text()), encoding="latin-1")
    before = path.read_bytes()
    with pytest.raises(DataError, match=words):
        append_csv(path, [RECORD])
    assert path.read_bytes() == before


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"costs\.csv: cannot be written"):
        append_csv(tmp_path / "file" / "costs.csv", [RECORD])


def test_names_of_files() -> None:
    cpu = results_file(Path("results"), "CPU AMD EPYC, 1 threads", "fp32", "2.11.0")
    assert cpu == Path("results/benchmark-fp32-pt2110-cpu-amd-epyc-1-threads.csv")
    timed = results_file(Path(), "CPU AMD EPYC, 1 threads", "fp32", "2.11.0", "cpu")
    assert timed.name == "benchmark-fp32-pt2110-cpu-amd-epyc-1-threads-cpu-time.csv"
    gpu = results_file(Path(), "NVIDIA H200", "fp16", "2.11.0-cu13.0")
    assert gpu.name == "benchmark-fp16-pt2110-cu130-nvidia-h200.csv"


def test_shipped_files_agree_with_the_cards() -> None:
    paths = list(resource_folder("results").glob("benchmark-*.csv"))
    assert paths
    for path in paths:
        rows, cards = read_benchmark_csv(path), list_cards()
        assert len({row["model"] for row in rows}) == len(rows) > 10
        for row in rows:
            assert (
                path.name
                == results_file(
                    Path(), row["device"], row["precision"], row["torch"].partition("+")[0], row["clock"]
                ).name
            )
            assert all(row[key] for key in ("clips_per_s", "latency_ms", "load_ms", "activations", "commit")), row
            assert "changes" not in row["commit"]
        released = [(row, cards[row["model"]]) for row in rows if row["model"] in cards]
        assert len(released) > 10
        for row, card in released:
            assert (int(row["params"]), int(row["macs"])) == (card.params, card.macs)
            assert card.score is not None
            assert (float(row["score"]), row["metric"]) == (card.score.value, card.score.metric)
