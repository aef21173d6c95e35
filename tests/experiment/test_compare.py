"""Confidence intervals and paired tests.

Draws of clips equal scoring the drawn clips from scratch, and runs that differ in anything are refused.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_psds_exact import CLASSES, Case, better, make_case, noise

from efficient_sed.cli.main import main
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.compare import MAX_P, compare_runs
from efficient_sed.metrics.psds.clips import CLIPS_FILE, PsdsClips, interval, p_value
from efficient_sed.metrics.psds.parameters import PSDS2
from efficient_sed.metrics.psds.plot import draw_psd_roc, labelled_classes
from efficient_sed.metrics.psds.score import psds1


def collect(case: Case) -> PsdsClips:
    accumulator = case.accumulate(list(case.scores)[::-1], keeps_clips=True)
    return PsdsClips.collect(accumulator, accumulator.compute().variant)


def from_scratch(case: Case, weights: np.ndarray) -> float:
    """Score as many copies of each clip as were drawn."""
    copies = [
        (f"{clip}#{copy}", clip)
        for clip, weight in zip(sorted(case.scores), weights, strict=True)
        for copy in range(weight)
    ]
    scores, truth, durations = (
        {copy: per_clip[clip] for copy, clip in copies} for per_clip in (case.scores, case.truth, case.durations)
    )
    parameters = dataclasses.asdict(case.parameters)
    return psds1(scores, truth, durations, classes=CLASSES, frame_hop_s=case.hop_s, **parameters).macro


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_a_draw_equals_scoring_from_scratch(seed: int, replicate: int) -> None:
    case = make_case(seed)
    clips = collect(case)
    weights = clips.draw(replicate)
    assert weights.sum() == len(case.scores)
    assert clips.macro(weights) == pytest.approx(from_scratch(case, weights), abs=1e-12)
    assert clips.macro() == pytest.approx(case.by_psds1().macro, abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_values_of_a_fold_equal_scoring_it_alone(seed: int, choice: int) -> None:
    case = make_case(seed, num_clips=6)
    clips = collect(case)
    weights = np.random.default_rng(choice).integers(0, 2, len(case.scores))
    occurring = {
        event[2] for clip, used in zip(sorted(case.scores), weights, strict=True) if used for event in case.truth[clip]
    }
    if not occurring:
        with pytest.raises(DataError, match="at least one event"):
            clips.class_values(weights)
        return
    chosen = {clip: case.scores[clip] for clip, used in zip(sorted(case.scores), weights, strict=True) if used}
    alone = case._replace(
        scores=chosen,
        truth={clip: case.truth[clip] for clip in chosen},
        durations={clip: case.durations[clip] for clip in chosen},
    ).by_psds1()
    values = dict(zip(clips.classes, clips.class_values(weights).tolist(), strict=True))
    assert {label: value for label, value in values.items() if not np.isnan(value)} == pytest.approx(
        dict(alone.per_class), abs=1e-12
    )


def test_fifths_of_many_clips_need_nothing_that_was_left_out() -> None:
    clips = collect(noise(1500))
    assert (clips.cuts > 0).all()
    folds = np.random.default_rng(0).permutation(1500) % 5
    for fold in range(5):
        for weights in (folds == fold, folds != fold):
            assert np.isfinite(clips.class_values(weights)).all()


@pytest.mark.parametrize("num_levels", [0, 4])
def test_draws_where_much_was_left_out(num_levels: int) -> None:
    case = noise(1500, num_levels)._replace(
        durations={f"clip{index:04}": 2.0 + 8 * (index % 3 > 0) for index in range(1500)}
    )
    case = case._replace(
        scores={clip: array[: round(case.durations[clip] / 0.2)] for clip, array in case.scores.items()},
        parameters=case.parameters,
    )
    case = case._replace(
        truth={clip: [event for event in events if case.durations[clip] > 5] for clip, events in case.truth.items()}
    )
    clips = collect(case)
    whole = case.accumulate(list(case.scores), [1e9], keeps_clips=True)
    assert num_levels or len(clips.scores) < 0.7 * sum(len(chunk.scores) for chunk in whole.entries.chunks())
    for replicate in range(5):
        weights = clips.draw(replicate)
        assert clips.macro(weights) == pytest.approx(from_scratch(case, weights), abs=1e-12)


def test_a_draw_that_needs_what_was_left_out_is_refused() -> None:
    clips = collect(noise(1500))
    one_clip = np.zeros(1500, np.int64)
    one_clip[0] = 1500  # holds an event, so no false alarm is sure
    with pytest.raises(
        DataError, match=r"^class 'a': this draw of clips needs counts at scores below 0\.\d+, which were left out$"
    ):
        clips.macro(one_clip)


def test_interval_by_hand() -> None:
    assert interval(np.arange(1000.0)[::-1]) == (24.0, 975.0)  # 2.5 % of 1001 are 25.025: the 25th from either end
    assert interval(np.arange(199.0)) == (3.0, 195.0)  # 2.5 % of 200 are 5, and 2 * 5 / 200 is not below 0.05
    assert p_value(np.arange(199.0) - 3.5) == 2 * 5 / 200


@given(st.integers(100, 1200), st.integers(0, 60), st.integers(0, 3), st.sampled_from([-1, 1]))
def test_interval_and_p_value_agree(num_draws: int, num_below: int, num_zero: int, sign: int) -> None:
    """The interval leaves out 0 if and only if p < 0.05, at every number of draws on its other side."""
    differences = sign * np.concatenate(
        [np.full(num_below, -1.0), np.zeros(num_zero), np.ones(num_draws - num_below - num_zero)]
    )
    low, high = interval(differences)
    assert (low > 0 or high < 0) == (p_value(differences) < MAX_P)


def test_the_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    for parameters in (PSDS2, noise(30).parameters):
        clips = collect(noise(30)._replace(parameters=parameters))
        clips.save(tmp_path / CLIPS_FILE)
        again = PsdsClips.load(tmp_path / CLIPS_FILE)
        np.testing.assert_array_equal(again.class_values(), clips.class_values())
    assert (again.classes, again.clip_ids, again.variant) == (clips.classes, clips.clip_ids, clips.variant)
    np.testing.assert_array_equal(again.bootstrap(20), clips.bootstrap(20))
    (tmp_path / CLIPS_FILE).write_bytes((tmp_path / CLIPS_FILE).read_bytes()[:300])
    with pytest.raises(DataError, match=r"psds_clips\.npz: damaged \("):
        PsdsClips.load(tmp_path / CLIPS_FILE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (lambda clips: {"scores": clips.scores[:3]}, "its arrays do not fit together"),
        (lambda clips: {"cuts": clips.cuts[:1]}, "its arrays do not fit together"),
        (
            lambda clips: {"alarms": clips.alarms.astype(float)},
            "its counts are not whole numbers, or its scores no numbers",
        ),
        (lambda clips: {"clips": clips.clips + 10**6}, "an index is out of range"),
        (lambda clips: {"first_entry": clips.first_entry[::-1].copy()}, "an index is out of range"),
        (lambda clips: {"on": clips.on + len(clips.classes)}, "an index is out of range"),
        (lambda clips: {"event_seconds": clips.event_seconds[1:]}, "its arrays do not fit together"),
        (lambda _: {"variant": {}}, "'max_efpr'"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(
    tmp_path: Path, changes: Callable[[PsdsClips], dict[str, Any]], reason: str
) -> None:
    clips = collect(noise(30)._replace(parameters=PSDS2))
    dataclasses.replace(clips, **changes(clips)).save(tmp_path / CLIPS_FILE)
    with pytest.raises(DataError, match=rf"psds_clips\.npz: damaged \({reason}\)"):
        PsdsClips.load(tmp_path / CLIPS_FILE)


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    path = draw_psd_roc(noise(30).by_psds1(), tmp_path / "psd_roc.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"a file that ends in \.png$"):
        draw_psd_roc(noise(30).by_psds1(), tmp_path / "psd_roc.pdf")


def test_the_curve_names_classes() -> None:
    few, many = ({f"class {number}": number / 50 for number in range(count)} for count in (20, 21))
    assert list(labelled_classes(few))[:2] == ["class 19", "class 18"]
    assert len(labelled_classes(few)) == 20
    assert labelled_classes(many) == {"class 20": "best, class 20: 0.400", "class 0": "worst, class 0: 0.000"}
    assert labelled_classes({"w" * 100: 1.0, "_": 0.5}) == {"w" * 100: f"{'w' * 27}…: 1.000", "_": " _: 0.500"}


def write_run(folder: Path, case: Case, changes: Mapping[str, Any] | None = None) -> Path:
    """As much of a finished run as a comparison reads."""
    clips, result = collect(case), case.by_psds1()
    folder.mkdir()
    clips.save(folder / CLIPS_FILE)
    speed = {"batch_size": 1, "clips_per_s": 1.0, "iqr": [1.0, 1.0], "precision": "fp32", "device": "CPU"}
    content: dict[str, Any] = {
        "model": "fmn04", "backbone": "fmn04", "head": "none", "hidden": None,
        "task": "detection", "seed": 0, "signature": "0",
        "metrics": {**result.metrics(), "coverage": {"clips_expected": 1, "clips_scored": 1, "unreadable": []}},
        "complexity": {
            "params": 1, "macs": 1, "macs_by_part": {"frontend": 0}, "macs_deepspeed": None, "seconds": 1.0,
            "throughput": speed, "latency": {"ms": 1.0}, "peak_memory_mb": 1.0,
        },
        "training": {"device": "CPU", "steps": 1, "num_with_teacher": 0},
        "data": {"name": "own", "manifest_hash": "0123"}, "config": {"train": {"epochs": 1}, "data": {}},
        "environment": {"versions": {"torch": "2"}, "commit": "0", "device": "CPU", "created": "now"},
    }  # fmt: skip
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        place = content
        for part in path:
            place = place[part]
        place[last] = value
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def test_a_real_difference_and_none(tmp_path: Path) -> None:
    case = noise(300)
    first, second = write_run(tmp_path / "first", case), write_run(tmp_path / "second", better(case))
    comparison = compare_runs(first, second, 200)
    assert comparison.difference == pytest.approx(better(case).by_psds1().macro - case.by_psds1().macro)
    assert comparison.ci95[0] < comparison.difference < comparison.ci95[1]
    assert comparison.first.ci95[0] < comparison.first.score < comparison.first.ci95[1]
    assert comparison.is_real
    assert comparison.p_value == pytest.approx(2 / 201)
    assert comparison.lines()[2].endswith("  p = 0.00995")
    assert comparison.lines()[3:] == [
        f"The difference is real: {second} is better, beyond what the choice of clips explains "
        "(p < 0.05, 200 draws of 300 clips).",
        "This is about the choice of clips for these two trainings, not about seeds: those take several runs of each.",
    ]
    assert f"The difference is real: {second} is better" in compare_runs(second, first, 200).lines()[-2]
    with pytest.raises(ConfigError, match=r"are one run; give two, such as runs/RUN_A runs/RUN_B$"):
        compare_runs(first, first / ".." / first.name, 200)
    same = compare_runs(first, shutil.copytree(first, tmp_path / "copy"), 100)
    assert (same.difference, same.ci95, same.p_value, same.is_real) == (0.0, (0.0, 0.0), 1.0, False)
    assert (
        same.lines()[-2] == "The difference may well be chance: other clips of this kind could turn it round "
        "(p >= 0.05, 100 draws of 300 clips)."
    )
    assert same.lines()[-1] == comparison.lines()[-1]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = noise(100)
    first, second = write_run(tmp_path / "first", case), write_run(tmp_path / "second", better(case))
    assert main(["compare", str(first), str(second), "--replicates", "100"]) == 0
    assert "The difference is real" in capsys.readouterr().out
    assert main(["compare", str(first), str(second), "--replicates", "100", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["is_real"] is True
    assert printed["second"]["folder"] == str(second)
    assert main(["compare", str(first), str(tmp_path / "absent")]) == 2
    assert (
        capsys.readouterr().err == f"efficient-sed: {tmp_path}/absent: holds no finished run (result.json is missing); "
        "give the folder of a run, such as runs/RUN\n"
    )


def other_clip(case: Case) -> Case:
    return case._replace(
        **{
            name: {("other" if clip == "clip0001" else clip): value for clip, value in getattr(case, name).items()}
            for name in ("scores", "truth", "durations")
        }
    )


def other_class(case: Case) -> Case:
    return case._replace(
        truth={
            clip: [(on, off, "c" if label == "b" else label) for on, off, label in events]
            for clip, events in case.truth.items()
        }
    )


def other_event(case: Case) -> Case:
    return case._replace(truth=case.truth | {"clip0001": [(0.0, 1.0, "a")]})


@pytest.mark.parametrize(
    ("change", "changes", "message"),
    [
        (
            None,
            {"data.manifest_hash": "4567"},
            "do not compare: manifest_hash is 0123 in the first, 4567 in the second",
        ),
        (
            None,
            {"metrics.variant.median_frames": 9},
            "do not compare: median_frames is None in the first, 9 in the second",
        ),
        (other_clip, {}, "do not compare: clip 'clip0001' was scored in the first alone"),
        (other_class, {}, "do not compare: class 'b' was scored in the first alone"),
        (other_event, {}, "do not compare: the clips' events or lengths differ"),
        (None, {"metrics.psds1_macro": 0.5}, "they are not of one run"),
    ],
)
def test_runs_that_do_not_compare(
    tmp_path: Path, change: Callable[[Case], Case] | None, changes: dict[str, Any], message: str
) -> None:
    case = noise(20)
    first, second = (
        write_run(tmp_path / "first", case),
        write_run(tmp_path / "second", change(case) if change else case, changes),
    )
    with pytest.raises(DataError) as caught:
        compare_runs(first, second, 100)
    assert message in str(caught.value)
    with pytest.raises(ConfigError, match=r"^--replicates 9 is not allowed: 100 to 100000$"):
        compare_runs(first, second, 9)
    (second / CLIPS_FILE).unlink()
    with pytest.raises(DataError, match=r"psds_clips\.npz: no such file"):
        compare_runs(first, second, 100)
