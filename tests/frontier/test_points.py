"""Pareto front against its definition, results from files, and the drawing."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_files import make_result, write_run

from efficient_sed.config.values import to_dict
from efficient_sed.errors import DataError, MissingDependencyError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.repeats import group_repeats
from efficient_sed.frontier import label_places
from efficient_sed.frontier.axes import COMPLEXITY_METRICS, PANELS
from efficient_sed.frontier.corrected_plot import draw_corrected
from efficient_sed.frontier.front import comparable_sets, find_mismatch, group_by_metric, pareto_front
from efficient_sed.frontier.plot import draw_frontier
from efficient_sed.frontier.points import Point, distinct_labels, read_published, run_points
from efficient_sed.frontier.runs import find_runs, read_results

TAGGED = {"map": 0.3, "variant": {"metric": "map"}, "coverage": {"clips_scored": 16}}


def make_point(score: float, cost: float, label: str = "fmn10", speed: str = "CPU, fp32, batch 4") -> Point:
    costs = {"params": 1e6 * cost, "macs": 1e8 * cost, "throughput_clips_s": 100 / cost}
    return Point(label, "fmn10", "none", score, costs, label, f"runs/{label}", {"data": "synthetic"}, speed)


def dominates(one: Point, other: Point, x: str) -> bool:
    sign = 1 if COMPLEXITY_METRICS[x].is_lower_better else -1
    a, b = (one.score, -sign * one.complexity[x]), (other.score, -sign * other.complexity[x])
    return a != b and a[0] >= b[0] and a[1] >= b[1]


few_values = st.integers(1, 6)  # few, so that ties and duplicates are common
point_lists = st.lists(st.builds(lambda score, cost: make_point(score / 10, cost), few_values, few_values), max_size=25)


@given(point_lists, st.sampled_from(PANELS))
def test_front_is_exactly_what_nothing_dominates(points: list[Point], x: str) -> None:
    front = pareto_front(points, x)
    expected = [point for point in points if not any(dominates(other, point, x) for other in points)]
    assert sorted(map(id, front)) == sorted(map(id, expected))
    assert all(
        any(dominates(member, point, x) for member in front)
        for point in points
        if not any(point is member for member in front)
    )
    costs = [point.complexity[x] for point in front]
    assert costs == sorted(costs)


@given(point_lists, st.randoms())
def test_front_does_not_depend_on_order_and_is_its_own_front(points: list[Point], random: Any) -> None:
    front = pareto_front(points, "params")
    shuffled = random.sample(points, len(points))
    assert pareto_front(shuffled, "params") == front
    assert pareto_front(front, "params") == front


def test_front_keeps_duplicates_and_takes_either_direction() -> None:
    twins = [make_point(0.5, 1, "a"), make_point(0.5, 1, "b")]
    assert {point.label for point in pareto_front(twins, "params")} == {"a", "b"}
    small, large = make_point(0.4, 1, "small"), make_point(0.4, 2, "large")
    assert pareto_front([small, large], "params") == [small]
    slow, fast = (replace(small, complexity={"throughput_clips_s": rate}) for rate in (1.0, 2.0))
    assert pareto_front([slow, fast], "throughput_clips_s") == [fast]
    assert pareto_front([replace(small, complexity={})], "params") == []


@pytest.mark.parametrize("x", ["throughput_clips_s", "latency_ms", "peak_memory_mb", "energy_j_per_clip"])
def test_what_a_machine_decides_compares_on_one_machine(x: str) -> None:
    points = [make_point(0.3, 1, "a", "CPU"), make_point(0.4, 1, "b", "GPU"), make_point(0.5, 2, "c", "CPU")]
    assert [[point.label for point in each] for each in comparable_sets(points, x)] == [["a", "c"], ["b"]]
    assert len(comparable_sets(points, "macs")) == 1


def test_the_energy_of_trainings_compares_on_one_device() -> None:
    config = make_result()["config"]
    points = run_points(
        [
            (Path(), make_result(config=config | {"train": {"epochs": epochs}}, training=training))
            for epochs, device in ((5, "a CPU"), (6, "a GPU"), (7, "a CPU"))
            for training in [make_result()["training"] | {"device": device, "energy_kwh": 1.0, "energy_method": "RAPL"}]
        ]
    )
    found = [[point.label[-1] for point in each] for each in comparable_sets(points, "training_kwh")]
    assert found == [["5", "7"], ["6"]]
    assert len(comparable_sets(points, "macs")) == 1


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("a CPU", "RAPL"), ("a CPU", "RAPL"), 2.0),
        (("a CPU", "RAPL"), ("a GPU", "RAPL"), None),
        (("a CPU", "RAPL"), ("a CPU", "NVML"), None),
        (("a CPU", "RAPL"), ("a CPU", None), None),
        (("a CPU", None), ("a CPU", None), None),
    ],
)
def test_energies_of_other_devices_and_meters_are_not_mixed(
    first: tuple[str, str | None], second: tuple[str, str | None], expected: float | None
) -> None:
    trainings = [
        make_result()["training"] | {"device": device, "energy_kwh": kwh, "energy_method": method}
        for kwh, (device, method) in zip((1.0, 3.0), (first, second), strict=True)
    ]
    group = [(Path(), make_result(seed=seed, training=training)) for seed, training in enumerate(trainings)]
    (point,) = run_points(group)
    assert point.complexity.get("training_kwh") == expected
    assert bool(point.training) == (expected is not None)


def test_results_are_read_and_labelled(tmp_path: Path) -> None:
    write_run(tmp_path, "a", make_result("fmn04"))
    write_run(tmp_path, "sweep/b", make_result(seed=0))
    write_run(
        tmp_path,
        "sweep/c",
        make_result(
            seed=1,
            config=make_result()["config"] | {"train": {"epochs": 6}},
            complexity=make_result()["complexity"] | {"peak_memory_mb": None},
        ),
    )
    points = run_points(read_results(find_runs(tmp_path)))
    assert [point.label for point in points] == ["fmn04", "fmn10+tf-256 epochs=5", "fmn10+tf-256 epochs=6"]
    assert points[0].family == "none"
    parts = {"macs_backbone": 1e9, "macs_sequence": 399e6, "macs_classifier": 1e6}
    assert points[1].complexity == {
        "params": 5e6,
        "macs": 1.4e9,
        **parts,
        "throughput_clips_s": 30.0,
        "latency_ms": 33.25,
        "peak_memory_mb": 700.5,
    }
    assert "peak_memory_mb" not in points[2].complexity
    assert points[1].speed == "CPU, fp32, batch 4"


def test_runs_of_one_model_are_told_apart_in_words() -> None:
    """By few of their options, their seed, what differs in their data or scores; by number where nothing else does."""

    def labels(*changes: dict[str, Any]) -> list[str]:
        results = [make_result(**{"signature": f"{place}abc{place}"} | change) for place, change in enumerate(changes)]
        return [point.label.removeprefix("fmn10+tf-256") for point in run_points([(Path(), each) for each in results])]

    config = make_result()["config"]
    rates = [{"config": config | {"train": {"epochs": 5, "lr_head": rate}}} for rate in (1e-3, 3e-3)]
    assert labels(*rates) == [" lr_head=0.001", " lr_head=0.003"]
    others = [{"data": {"name": "synthetic", "manifest_hash": key}} for key in ("cafe", "beef")]
    sizes = [{"config": config | {"data": {"num_test": number}}} for number in (20, 60)]
    two_sets = [other | size for other, size in zip(others, sizes, strict=True)]
    assert labels(*two_sets) == [" synthetic num_test=20", " synthetic num_test=60"]
    variants = [{"metrics": make_result()["metrics"] | {"variant": {"median_frames": n}}} for n in (1, 9)]
    assert labels(*variants) == [" median_frames=1", " median_frames=9"]
    assert distinct_labels([[make_result()], [make_result()]]) == ["fmn10+tf-256 (1)", "fmn10+tf-256 (2)"]


BASE = make_result()["config"]


def with_options(group: str, *options: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"config": BASE | {group: BASE.get(group, {}) | own}} for own in options]


SPEED = make_result()["complexity"]["throughput"]
SLOW = make_result()["complexity"] | {"throughput": SPEED | {"device": "Pi 4"}}
LONG = "/home/someone/experiments/of/a/long/name"


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ([{}, {"complexity": SLOW}], ["CPU", "Pi 4"]),
        (with_options("train", {}, {"teacher": None}), [""]),  # one run is older than the option
        (with_options("train", {"lr": 1}, {"lr": 1.0}), [""]),
        (with_options("train", {"init": None}, {"init": "null"}), ["init=null", "init='null'"]),
        ([{"config": BASE | own} for own in ({"a": {"p": 0}}, {"b": {"p": 1}}, {})], ["a.p=0", "b.p=1", ""]),
        (
            with_options("benchmark", {"precisions": ["fp32"]}, {"precisions": ["fp32", "bf16"]}),
            ["precisions=[fp32]", "precisions=[fp32,bf16]"],
        ),
        (
            with_options("train", {"init": f"{LONG}/one/x.pt"}, {"init": f"{LONG}/two/x.pt"}),
            ["init=one/x.pt", "init=two/x.pt"],
        ),
        (
            with_options("train", {"init": f"/one{LONG}/x.pt"}, {"init": f"/two{LONG}/x.pt"}),
            ["init=…/one", "init=…/two"],
        ),
        ([{"data": {"name": "own", "manifest_hash": key}, "metrics": {"psds1_macro": 0.1, "variant": {}}}
          for key in ("a", "b")], ["own (1)", "own (2)"]),
        ([{"model": "fmn04"}, {"model": "fmn04"}, {}, {}], ["(1)", "(2)", "(1)", "(2)"]),
    ],
)  # fmt: skip
def test_what_tells_runs_apart(changes: list[dict[str, Any]], labels: list[str]) -> None:
    results = [make_result(**{"signature": str(at)} | change) for at, change in enumerate(changes)]
    same = [[result] for result in results] if "(" in labels[0] else group_repeats(results)
    assert [label.partition(" ")[2] for label in distinct_labels(same)] == labels


def test_a_run_that_is_older_than_an_option_has_its_default() -> None:
    config = to_dict(compose_run(["data=synthetic"]))
    older = config | {"train": {key: value for key, value in config["train"].items() if key != "consistency"}}
    groups = group_repeats([make_result(signature=str(at), config=each) for at, each in enumerate((config, older))])
    assert len(groups) == 1


def test_a_name_without_room_is_told_once_for_all_panels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw_frontier([make_point(0.3, 1, "x" * 400)], [], tmp_path / "plot.png")
    assert len([message for message in caplog.messages if "has no room for the name xxx" in message]) == 1


def test_a_label_holds_as_few_options_as_tell_runs_apart() -> None:
    """Runs of a search differ in everything; a label has room for what tells them apart, and never for a hash."""
    config = make_result()["config"]
    trainings = [
        {"epochs": 5, "lr_head": 1e-3, "lr_backbone": 1e-3, "warmup_steps": 10, "batch_size": 4},
        {"epochs": 5, "lr_head": 3e-3, "lr_backbone": 2e-3, "warmup_steps": 20, "batch_size": 8},
        {"epochs": 6, "lr_head": 3e-3, "lr_backbone": 2e-3, "warmup_steps": 30, "batch_size": 8},
        {"epochs": 6, "lr_head": 3e-3, "lr_backbone": 2e-3, "warmup_steps": 30, "batch_size": 16},
    ]
    results = [make_result(signature=str(at), config=config | {"train": own}) for at, own in enumerate(trainings)]
    labels = [point.label.removeprefix("fmn10+tf-256 ") for point in run_points([(Path(), each) for each in results])]
    assert labels == [
        "warmup_steps=10 batch_size=4",
        "warmup_steps=20 batch_size=8",
        "warmup_steps=30 batch_size=8",
        "warmup_steps=30 batch_size=16",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (json.dumps(make_result())[:80], "Unterminated|Expecting"),
        ("", "Expecting value"),
        ("[]", "the file is not a group of keys"),
        (json.dumps({"task": "detection"}), "model is missing"),
        (json.dumps(make_result(task="other")), "task='other' is not one of detection, tagging"),
        (json.dumps(make_result(score=float("nan"))), "NaN is not a number"),
        (json.dumps(make_result(score=1.5)), "metrics.psds1_macro=1.5 is not 0 to 1"),
        (json.dumps({key: value for key, value in make_result().items() if key != "config"}), r"config.* is missing"),
        (
            json.dumps(make_result(complexity=make_result()["complexity"] | {"params": 0})),
            "complexity.params=0 is not above 0",
        ),
        (
            json.dumps(make_result(complexity=make_result()["complexity"] | {"latency": {"ms": None}})),
            "complexity.latency.ms=None is not a number",
        ),
        (json.dumps(make_result(seed=[1])), r"seed=\[1\] is not a number"),
        (json.dumps(make_result(data={"name": 3, "manifest_hash": "x"})), "data.name=3 is not text"),
    ],
)
def test_damaged_result_is_named_on_one_line(tmp_path: Path, content: str, reason: str) -> None:
    path = write_run(tmp_path, "a", make_result())
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        read_results(find_runs(tmp_path))
    assert str(caught.value).startswith(f"{path}: damaged (")
    assert "\n" not in str(caught.value)


def test_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no finished run below .*; train one with: make sweep"):
        find_runs(tmp_path)


def test_tagging_has_a_score_of_its_own(tmp_path: Path) -> None:
    write_run(tmp_path, "a", make_result(task="tagging", metrics=TAGGED))
    write_run(tmp_path, "b", make_result())
    points = run_points(read_results(find_runs(tmp_path)))
    assert [(point.metric, point.score) for point in points] == [
        ("map", TAGGED["map"]),
        ("psds1_macro", make_result()["metrics"]["psds1_macro"]),
    ]
    assert group_by_metric(points) == [points[:1], points[1:]]


def test_seeds_of_a_configuration_are_one_point_with_a_bar(tmp_path: Path) -> None:
    for seed, score in enumerate((0.40, 0.42, 0.47)):
        write_run(tmp_path, f"tf{seed}", make_result(seed=seed, score=score))
    write_run(
        tmp_path,
        "gru",
        make_result("fmn10+gru-256", metrics=make_result()["metrics"] | {"psds1_macro_ci95": [0.31, 0.45]}),
    )
    gru, tf = run_points(read_results(find_runs(tmp_path)))
    assert (tf.label, tf.score) == ("fmn10+tf-256", pytest.approx(0.43))
    assert tf.interval == pytest.approx(
        (0.43 - np.std([0.40, 0.42, 0.47], ddof=1), 0.43 + np.std([0.40, 0.42, 0.47], ddof=1))
    )
    assert gru.interval == (0.31, 0.45)
    _, svg = draw_frontier([gru, tf], [], tmp_path / "plot.png")
    assert "Bars: one standard deviation over seeds" in svg_text(svg)


def test_published_models_have_both_counts_of_macs() -> None:
    points = {point.label: point for point in read_published()}
    assert len(points) == 47
    point = points["fmn10+tf-256_strong"]
    assert (point.score, point.family) == (0.4386, "tf")
    costs = point.complexity
    assert (costs["params"], costs["macs_published"], costs["throughput_clips_s"]) == (5028286.0, 1.481e9, 2040.0)
    assert costs["macs"] == pytest.approx(costs["macs_published"], rel=0.02)
    assert all(key in COMPLEXITY_METRICS for key in costs)
    gru = points["fmn10+gru-1024_strong"].complexity
    assert gru["macs"] > 7 * gru["macs_published"]


def test_corrected_figure_counts_what_is_on_the_fronts(tmp_path: Path) -> None:
    points = read_published()
    png, svg = draw_corrected(points, tmp_path / "corrected.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    plain = [point for point in points if "advanced" not in point.label and "macs_published" in point.complexity]
    for title, x in (("As published", "macs_published"), ("All MACs counted", "macs")):
        front = pareto_front(plain, x)
        assert (
            f"{title}: {sum(point.family == 'gru' for point in front)} of {len(front)} on the front are BiGRUs"
            in svg_text(svg)
        )
    assert "advanced" not in svg_text(svg)


def test_mixed_variants_are_refused_unless_allowed(tmp_path: Path) -> None:
    write_run(tmp_path, "a", make_result("fmn04"))
    write_run(tmp_path, "b", make_result("fmn06", data={"name": "synthetic", "manifest_hash": "beef"}))
    metrics = make_result()["metrics"]
    write_run(
        tmp_path, "c", make_result("fmn10", metrics=metrics | {"variant": metrics["variant"] | {"median_frames": 7}})
    )
    points = run_points(read_results(find_runs(tmp_path)))
    assert find_mismatch(points[:1]) is None
    with pytest.raises(DataError, match=r"a and .*b differ in manifest_hash 'cafe' against 'beef'; plot them apart"):
        draw_frontier(points[:2], [], tmp_path / "plot.png")
    with pytest.raises(DataError, match=r"a and .*c differ in median_frames 9 against 7"):
        draw_frontier([points[0], points[2]], [], tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()
    _, svg = draw_frontier(points, [], tmp_path / "plot.png", allow_mixed=True)
    assert "Mixed: " in svg.read_text(encoding="utf-8")


def svg_text(path: Path) -> str:
    return "\n".join("".join(element.itertext()) for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("output", ["plot", "plot.png", "plot.svg", "fmn10.v2"])
def test_drawing_writes_png_and_svg_with_names(tmp_path: Path, output: str) -> None:
    png, svg = draw_frontier(
        [make_point(0.3, 1, "fmn10+tf-256"), make_point(0.4, 3, "fmn30"), make_point(0.2, 2, "fmn20")],
        read_published(),
        tmp_path / output,
    )
    assert png.name == f"{output.removesuffix('.png').removesuffix('.svg')}.png"
    assert png.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([png.name, svg.name])
    text = svg_text(svg)
    for line in (
        "fmn10+tf-256",
        "PSDS1, macro — synthetic",
        "published: PSDS1 on AudioSet Strong (grey)",
        "published MACs counted anew",
        "1 M",
    ):
        assert line in text
    assert "ours: CPU, fp32, batch 4" in text
    assert "published: RTX 3090, fp16" in text


@pytest.mark.parametrize(("num_points", "has_published"), [(1, True), (1, False), (0, True)])
def test_drawing_of_little(tmp_path: Path, num_points: int, has_published: bool) -> None:
    _, svg = draw_frontier([make_point(0.3, 1)] * num_points, read_published() if has_published else [], tmp_path)
    assert svg.name == "frontier.svg"
    assert ("published: PSDS1" in svg_text(svg)) == bool(num_points and has_published)


def test_same_data_shares_the_axis_and_different_devices_have_a_front_each(tmp_path: Path) -> None:
    points = [
        replace(
            make_point(0.3 + index / 10, index + 1, f"m{index}", f"device {index}"),
            conditions={"data": "audioset_strong"},
            clip_seconds=5.0,
        )
        for index in range(2)
    ]
    text = svg_text(draw_frontier(points, read_published(), tmp_path)[1])
    assert "PSDS1, macro — AudioSet Strong" in text
    assert "published: PSDS1" not in text
    assert "2 different devices" in text
    assert "MACs per 10 s" in text
    assert text.count("clips of 5 s: as many as 10 s of sound take") == 2


def test_names_cover_neither_each_other_nor_points() -> None:
    centres = np.random.default_rng(0).uniform(200, 700, (20, 2))
    halves, frame = [np.array([70.0, 9.0])] * 20, np.array([0.0, 0.0, 1000.0, 1000.0])
    _, places = label_places._arrange(np.arange(20), centres, halves, frame, np.empty((0, 2)))
    assert len(places) == 20
    for index, box in places.items():
        assert (box[:2] >= 0).all()
        assert (box[2:] <= 1000).all()
        assert not ((centres > box[:2]) & (centres < box[2:])).all(1).any()
        for other in (places[other] for other in places if other != index):
            assert not ((box[:2] < other[2:]) & (other[:2] < box[2:])).all()


def test_errors_of_the_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no points"):
        draw_frontier([], [], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        draw_frontier([make_point(0.3, 1)], [], tmp_path / "file" / "plot.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"efficient-sed\[plot\]"):
        draw_frontier([make_point(0.3, 1)], [], tmp_path)
