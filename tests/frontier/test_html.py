"""What is in the interactive page; how it behaves is in test_frontier_browser."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from result_files import make_result

from efficient_sed.benchmark.speed import unmeasured
from efficient_sed.errors import DataError
from efficient_sed.files.pages import to_script_json
from efficient_sed.frontier.axes import PANELS
from efficient_sed.frontier.front import comparable_sets, pareto_front
from efficient_sed.frontier.html import page_data, write_page
from efficient_sed.frontier.points import read_published, run_points
from efficient_sed.frontier.published import read_published_models

EVIL = "</script><script>alert(1)</script><!--script-->\u2028<img src=x onerror=alert(2)>&amp;"


def data_of(page: Path) -> Any:
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    return json.loads(text)


def costs_of(record: dict[str, Any]) -> dict[str, float]:
    """Of published models without those that were measured here, which test_measured.py looks at."""
    measured = {"activations", "activations_peak", "latency_ms"} if record["source"] != "ours" else set()
    return {key: value for key, (value, _) in record["costs"].items() if key not in measured}


def own_records(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    data = page_data([(Path(f"runs/{index}"), result) for index, result in enumerate(results)])
    return [
        record | {"set": data["groups"][record["group"]]["label"]}
        for record in data["records"]
        if record["source"] == "ours"
    ]


def test_every_number_is_that_of_the_files(tmp_path: Path) -> None:
    result = make_result(score=0.4321)
    result["metrics"] |= {
        "onset_f": 0.81,
        "own_score": 3,
        "per_class": {"dog": 0.1},
        "flag": True,
        "undefined": float("nan"),
        "unknown": None,
    }
    data = data_of(write_page([(tmp_path / "run", result)], tmp_path / "page.html"))
    record = data["records"][0]
    assert {key: score[0] for key, score in record["scores"].items()} == {
        "psds1_macro": 0.4321,
        "psds1": 0.21605,
        "onset_f": 0.81,
        "own_score": 3,
    }
    costs = {key: value for key, (value, _) in record["costs"].items()}
    parts = {"macs_backbone": 1e9, "macs_sequence": 399e6, "macs_classifier": 1e6}
    assert costs == {
        "params": 5e6,
        "macs": 1.4e9,
        **parts,
        "throughput_clips_s": 30.0,
        "latency_ms": 33.25,
        "peak_memory_mb": 700.5,
    }
    assert data["scores"]["own_score"] == {"label": "own_score", "isHigherBetter": None}
    text = json.dumps(record["provenance"])
    for piece in (
        "cafe",
        "abc",
        "torch 2.11.0",
        "median_frames=9",
        "train.epochs=5",
        str(tmp_path / "run"),
        "0abcdef012",
        "seed 0",
    ):
        assert piece in text
    published = [record for record in data["records"] if record["source"] != "ours"]
    for model, record in zip(read_published_models(), published, strict=True):
        assert {key: score[0] for key, score in record["scores"].items()} == model.scores
        assert costs_of(record) == {key: value for key, value in model.complexity.items() if value}


def test_pictures_and_page_have_one_front_and_one_length() -> None:
    runs = [
        make_result("fmn10", score=0.3),
        make_result("fmn06", score=0.2, data={"name": "synthetic", "manifest_hash": "beef"}),
        make_result("fmn04", score=0.35),
        make_result("fmn20", score=0.1),
    ]
    for index, (result, seconds) in enumerate(zip(runs, (10.0, 5.0, 5.0, 20.0), strict=True)):
        result["signature"], result["complexity"]["seconds"] = str(index), seconds
    found = [(Path(f"runs/{index}"), result) for index, result in enumerate(runs)]
    points, records = run_points(found) + read_published(), page_data(found)["records"]
    records = [record for record in records if record["source"] == "ours" or "psds1_macro" in record["scores"]]
    assert len(points) == len(records) == 51
    assert [point.complexity["macs"] for point in points[:4]] == [1.4e9, 2.8e9, 2.8e9, 0.7e9]
    assert [point.complexity["throughput_clips_s"] for point in points[:4]] == [30.0, 15.0, 15.0, 60.0]
    for point, record in zip(points, records, strict=True):
        assert point.has_extra_training_data == record["hasExtraTrainingData"]
        assert point.score == record["scores"]["psds1_macro"][0]
        assert {key: value for key, value in point.complexity.items() if value} == costs_of(record)
    assert sum(point.has_extra_training_data for point in points) == 1
    for x in PANELS:  # the page's sets are those of the pictures
        sets = [
            frozenset(point.label for point in each)
            for each in comparable_sets((point for point in points if x in point.complexity), x)
        ]
        by_set: dict[tuple[Any, ...], set[str]] = {}
        for point, record in zip(points, records, strict=True):
            if x in record["costs"]:
                by_set.setdefault((record["group"], record["costs"][x][1]), set()).add(point.label)
        assert set(sets) == {frozenset(labels) for labels in by_set.values()}
    assert len(pareto_front(points[4:], "macs")) == 20


def test_published_models_alone_make_a_page(tmp_path: Path) -> None:
    page = write_page([], tmp_path / "page.html")
    data = data_of(page)
    assert len(data["records"]) == sum(1 for _ in read_published_models())
    assert {"macs", "macs_published", "params", "throughput_clips_s"} <= data["costs"].keys()
    assert {"psds1_macro", "map", "frame_f1", "frame_error_rate", "f1_micro", "accuracy"} <= data["scores"].keys()
    assert page.stat().st_size < 250_000


def test_a_tagging_run_stands_beside_the_published_rows() -> None:
    """By one model's name, with the same score to choose."""
    run = make_result(
        "erann-8x4-5",
        task="tagging",
        metrics={"map": 0.3, "variant": {"metric": "map"}, "coverage": {"clips_scored": 16}},
    )
    records = [record for record in page_data([(Path("runs/0"), run)])["records"] if "map" in record["scores"]]
    assert {record["model"] for record in records} >= {row.model for row in read_published_models("erann_audioset")}
    assert [record["scores"]["map"][0] for record in records if record["model"] == "erann-8x4-5"] == [0.3, 0.446]


def test_the_page_opens_on_the_score_that_the_table_leads_with() -> None:
    tagged = {"map": 0.3, "accuracy": 0.5, "variant": {"metric": "map"}, "coverage": {"clips_scored": 16}}
    assert page_data([(Path("runs/0"), make_result(task="tagging", metrics=tagged))])["first"] == "accuracy"
    assert page_data([(Path("runs/0"), make_result())])["first"] == page_data([])["first"] == "psds1_macro"


def test_nothing_of_a_result_is_markup(tmp_path: Path) -> None:
    result = make_result(EVIL)
    result["data"]["name"] = result["environment"]["commit"] = EVIL
    html = write_page([(tmp_path, result)], tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(re.findall(r"</?script", html)) == 4
    assert "onerror" not in re.sub(r'id="data">.*?</script>', "", html, flags=re.DOTALL)
    assert data_of(tmp_path / "page.html")["records"][0]["model"] == EVIL
    assert not re.search(r"<[a-z]+[^>]* (src|href)=\"(?!data:,)", html)  # nothing is fetched


def test_json_in_a_script_is_plain() -> None:
    text = to_script_json([EVIL])
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == [EVIL]
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_script_json(float("nan"))


def test_error_bars_come_from_seeds_or_the_bootstrap() -> None:
    single = make_result("fmn10")
    single["metrics"]["psds1_macro_ci95"] = [0.35, 0.44]
    alone, repeated = own_records([single, *(make_result(seed=seed, score=0.4 + 0.1 * seed) for seed in (0, 1, 2))])
    assert alone["scores"]["psds1_macro"] == [0.4, 0.35, 0.44, "95 % of bootstrap samples"]
    assert repeated["scores"]["psds1_macro"] == [pytest.approx(value) for value in (0.5, 0.4, 0.6)] + [
        "± one standard deviation over 3 seeds"
    ]
    assert (alone["runs"], repeated["runs"]) == (1, 3)
    assert [name for name, _ in repeated["provenance"] if name.startswith("seed")] == ["seed 0", "seed 1", "seed 2"]


def test_sets_that_do_not_compare_are_kept_apart_and_named() -> None:
    other_data = make_result("fmn04", data={"name": "synthetic", "manifest_hash": "beef"})
    other_variant = copy.deepcopy(make_result("fmn06"))
    other_variant["metrics"]["variant"]["median_frames"] = 7
    tagging = make_result(
        "fmn20", task="tagging", metrics={"map": 0.3, "variant": {"metric": "map"}, "coverage": {"clips_scored": 16}}
    )
    first, second, third, fourth = own_records([make_result(), other_data, other_variant, tagging])
    assert len({record["set"] for record in (first, second, third, fourth)}) == 4
    assert second["set"].startswith("synthetic 16 clips (2)")
    assert "median_frames 7" in third["set"]
    assert fourth["scores"].keys() == {"map"}


def test_what_a_speed_was_measured_with_and_of() -> None:
    """Also where the first of two seeds has no speed yet."""
    first, second = make_result(seed=0), make_result(seed=1)
    first["complexity"] |= unmeasured("failed")
    second["complexity"] |= {
        "peak_memory_of": "whole process",
        "speed_environment": second["environment"] | {"commit": "later"},
    }
    (record,) = own_records([first, second])
    assert record["costs"]["peak_memory_mb"][1].startswith("whole process, CPU")
    assert ["speed measured with", "torch 2.11.0, commit later"] in [list(pair) for pair in record["provenance"]]


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"page\.html: cannot be written"):
        write_page([], tmp_path / "file" / "page.html")
