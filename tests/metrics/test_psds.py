"""PSDS1 by hand, against a slow loop over thresholds, and on input that makes no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.result import PsdsResult
from efficient_sed.metrics.psds.score import psds1

HOP_S = 0.1
Truth = Mapping[str, Sequence[tuple[float, float, str]]]


def score(
    scores: Mapping[str, Any],
    truth: Truth,
    classes: Sequence[str] = ("a", "b"),
    duration_s: float = 1.0,
    **options: Any,
) -> PsdsResult:
    arrays = {clip: np.asarray(array, dtype=np.float32) for clip, array in scores.items()}
    return psds1(arrays, truth, dict.fromkeys(scores, duration_s), classes=classes, frame_hop_s=HOP_S, **options)


def active(*runs: tuple[int, int, float], frames: int = 10) -> np.ndarray:
    """Scores of one class: (first frame, frame after the last, score)."""
    scores = np.zeros(frames, dtype=np.float32)
    for first, last, value in runs:
        scores[first:last] = value
    return scores


def columns(*scores: np.ndarray) -> np.ndarray:
    return np.stack(scores, axis=1)


def slow_psds(
    scores: Mapping[str, np.ndarray],
    truth: Truth,
    label: str,
    column: int,
    duration_s: float,
    parameters: PsdsParameters,
) -> float:
    """Single-class PSDS by definition: detections at every threshold, frame by frame."""
    merged = {clip: merge_overlapping(Event(*e) for e in truth[clip]) for clip in scores}
    labels = {event.label for events in merged.values() for event in events}
    seconds = {
        other: sum(e.offset_s - e.onset_s for events in merged.values() for e in events if e.label == other)
        for other in labels
    }
    hours = duration_s * len(scores) / 3600
    points = []
    for threshold in np.unique(np.concatenate([array[:, column] for array in scores.values()])):
        hits = false_alarms = 0
        triggers = dict.fromkeys(labels - {label}, 0)
        for clip, array in scores.items():
            events = [event for event in merged[clip] if event.label == label]
            detections: list[list[float]] = []
            for frame, value in enumerate(array[:, column]):
                if value >= threshold and frame > 0 and array[frame - 1, column] >= threshold:
                    detections[-1][1] = min((frame + 1) * HOP_S, duration_s)
                elif value >= threshold:
                    detections.append([frame * HOP_S, min((frame + 1) * HOP_S, duration_s)])
            good = []
            for on, off in detections:
                if round(shared(on, off, events), 6) >= round(parameters.dtc * (off - on), 6):
                    good.append((on, off))
                    continue
                false_alarms += 1
                for other in triggers if parameters.cttc else ():
                    covered = shared(on, off, [event for event in merged[clip] if event.label == other])
                    triggers[other] += round(covered, 6) >= round((parameters.cttc or 0) * (off - on), 6)
            for event in events:
                found = sum(shared(on, off, [event]) for on, off in good)
                hits += round(found, 6) >= round(parameters.gtc * (event.offset_s - event.onset_s), 6)
        rates = [3600 * count / seconds[other] for other, count in triggers.items()]
        efpr = false_alarms / hours + parameters.alpha_ct * (sum(rates) / len(rates) if rates else 0.0)
        points.append((efpr, hits / sum(e.label == label for events in merged.values() for e in events)))
    area = best = previous = 0.0
    for efpr, tpr in sorted(points):
        if efpr > parameters.max_efpr:
            break
        area, previous, best = area + best * (efpr - previous), efpr, max(best, tpr)
    return (area + best * (parameters.max_efpr - previous)) / parameters.max_efpr


def shared(on: float, off: float, events: Sequence[Event]) -> float:
    """Seconds that events cover."""
    return sum(max(0.0, min(off, event.offset_s) - max(on, event.onset_s)) for event in events)


def test_perfect_and_nothing() -> None:
    truth = {"x": [(0.2, 0.5, "a"), (0.0, 0.4, "b")], "y": [(0.6, 1.0, "a")]}
    perfect = {"x": columns(active((2, 5, 0.9)), active((0, 4, 0.8))), "y": columns(active((6, 10, 0.7)), active())}
    result = score(perfect, truth)
    assert (result.psds, result.macro, dict(result.per_class), result.num_clips) == (1.0, 1.0, {"a": 1.0, "b": 1.0}, 2)
    nothing = score({clip: np.zeros((10, 2)) for clip in perfect}, truth)
    assert (nothing.psds, nothing.macro, dict(nothing.per_class)) == (0.0, 0.0, {"a": 0.0, "b": 0.0})


def test_toy_case() -> None:
    """One clip of 100 s: one false positive is 36 an hour.

    Two events. The first is found at score 0.9 without a false positive; the false alarm at 0.5 comes before the second
    event's 0.3. So the rate of true positives is 1/2 from 0 to 36 an hour and 1 from there to 100: (36 / 2 + 64) / 100.
    """
    truth = {"x": [(10.0, 12.0, "a"), (50.0, 52.0, "a")]}
    found = active((100, 120, 0.9), (300, 310, 0.5), (500, 520, 0.3), frames=1000)[:, None]
    assert score({"x": found}, truth, ["a"], duration_s=100.0).macro == pytest.approx(0.82, abs=1e-9)
    assert score({"x": found}, truth, ["a"], duration_s=100.0, max_efpr=72.0).macro == pytest.approx(0.75, abs=1e-9)
    assert score({"x": found}, truth, ["a"], duration_s=100.0, max_efpr=30.0).macro == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("frames_found", "expected"), [(7, 1.0), (6, 0.0)])
def test_tolerances_include_their_border(frames_found: int, expected: float) -> None:
    truth = {"x": [(0.0, 1.0, "a")]}
    assert (
        score({"x": active((0, frames_found, 0.9), frames=100)[:, None]}, truth, ["a"], 10.0).macro == expected
    )  # seven tenths of the event
    truth = {"x": [(0.0, frames_found / 10, "a")]}
    assert score({"x": np.full((10, 1), 0.9)}, truth, ["a"]).macro == expected  # seven tenths of the detection


def test_macro_is_the_mean_and_alpha_takes_off_the_deviation() -> None:
    truth = {"x": [(0.2, 0.5, "a"), (0.0, 0.4, "b")]}
    result = score({"x": columns(active((2, 5, 0.9)), active())}, truth)
    assert dict(result.per_class) == {"a": 1.0, "b": 0.0}
    assert result.macro == 0.5
    assert result.psds == 0.0  # mean 0.5 less one standard deviation of 0.5
    half = score({"x": columns(active((2, 5, 0.9)), active())}, truth, alpha_st=0.5)
    assert (half.psds, half.macro) == (0.25, 0.5)


def test_absent_classes_are_left_out() -> None:
    result = score(
        {"x": columns(np.full(10, 0.99), active((2, 5, 0.9)), np.full(10, 0.5))},
        {"x": [(0.2, 0.5, "b")]},
        ["a", "b", "c"],
    )
    assert dict(result.per_class) == {"b": 1.0}
    assert result.variant["num_classes"] == 1


def test_overlapping_events_are_one() -> None:
    truth = {"x": [(0.1, 0.4, "a"), (0.3, 0.8, "a"), (0.3, 0.5, "a")]}
    assert score({"x": active((1, 8, 0.9), frames=100)[:, None]}, truth, ["a"], 10.0).macro == 1.0
    assert score({"x": active((1, 4, 0.9), frames=100)[:, None]}, truth, ["a"], 10.0).macro == 0.0


def test_frames_end_with_the_clip() -> None:
    assert score({"x": np.array([[0.1], [0.9]])}, {"x": [(0.1, 0.15, "a")]}, ["a"], duration_s=0.15).macro == 1.0


def test_variant_says_what_was_computed() -> None:
    variant = score({"x": np.ones((10, 1))}, {"x": [(0.0, 1.0, "a")]}, ["a"], dtc=0.5, gtc=0.6, max_efpr=50.0).variant
    expected = {
        "metric": "psds",
        "dtc": 0.5,
        "gtc": 0.6,
        "alpha_ct": 0.0,
        "alpha_st": 1.0,
        "max_efpr": 50.0,
        "num_classes": 1,
    }
    assert variant.items() >= expected.items()
    assert variant["back_end_version"]


PSDS2 = {"dtc": 0.1, "gtc": 0.1, "cttc": 0.3, "alpha_ct": 0.5}


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "psds1"), (PSDS2, "psds2"), (PSDS2 | {"cttc": 0.2}, "psds"), ({"alpha_st": 0.0}, "psds")],
)
def test_results_are_named_by_their_parameters(options: dict[str, Any], name: str) -> None:
    scores, events = columns(active((2, 5, 0.9)), active((0, 4, 0.8))), [(0.2, 0.5, "a"), (0.0, 0.4, "b")]
    result = score({"x": scores}, {"x": events}, **options)
    assert result.variant["metric"] == name
    assert list(result.metrics()) == [f"{name}_macro", name, "per_class", "variant"]


@pytest.mark.parametrize("seed", range(12))
def test_against_the_slow_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, clips, frames, duration_s = ["a", "b", "c"], ["x", "y", "z", "w"], 40, 3.97
    levels = rng.integers(3, 30)  # few, so that ties are common
    scores = {clip: np.repeat(rng.integers(0, levels, (frames // 4, 3)) / levels, 4, axis=0) for clip in clips}
    truth: dict[str, list[tuple[float, float, str]]] = {}
    for clip in clips:
        onsets = rng.uniform(0, 3, 5)
        truth[clip] = [
            (float(on), float(min(on + rng.uniform(0.1, 1.5), 4.2)), str(rng.choice(classes[:2]))) for on in onsets
        ]
        for on, off, label in truth[clip]:  # let scores know something
            scores[clip][int(on * 10) : int(off * 10) + 1, classes.index(label)] += rng.choice([0.0, 0.5, 0.5])
    cross: dict[str, Any] = {"cttc": 0.3, "alpha_ct": 0.5} if seed % 3 else {}
    dtc, gtc, max_efpr = (0.7, 0.7, 4000.0) if seed % 2 else (0.3, 0.5, 900.0)
    parameters = PsdsParameters(dtc, gtc, max_efpr=max_efpr, **cross)
    result = score(scores, truth, classes, duration_s, **asdict(parameters))
    arrays = {clip: array.astype(np.float32) for clip, array in scores.items()}
    slow = {
        label: slow_psds(arrays, truth, label, classes.index(label), duration_s, parameters) for label in ("a", "b")
    }
    assert dict(result.per_class) == pytest.approx(slow, abs=1e-9)
    assert result.macro == pytest.approx(np.mean(list(slow.values())), abs=1e-9)
    assert max(slow.values()) > 0


GOOD = np.zeros((10, 2))
BAD: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], type[Exception], str]] = [
    ({}, {}, {}, DataError, "PSDS needs at least one clip, got none"),
    ({"x": GOOD}, {"x": []}, {"x": 1.0}, DataError, "PSDS needs at least one event in the ground truth, found none"),
    (
        {"x": np.where(np.arange(20).reshape(10, 2) == 7, np.nan, 0.0)},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': a score of class 'b' is not a number",
    ),
    (
        {"x": np.full((10, 2), [0, np.inf])},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': a score of class 'b' is not a number (inf in frame 0)",
    ),
    (
        {"x": GOOD},
        {"x": [(0.5, 0.2, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': event 'a' has onset 0.5 s and offset 0.2 s",
    ),
    (
        {"x": GOOD},
        {"x": [(0.5, 0.5, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': event 'a' has onset 0.5 s and offset 0.5 s",
    ),
    ({"x": GOOD}, {"x": [(-0.1, 0.5, "b")]}, {"x": 1.0}, DataError, "clip 'x': event 'b' has onset -0.1 s"),
    ({"x": GOOD}, {"x": [(float("nan"), 0.5, "b")]}, {"x": 1.0}, DataError, "clip 'x': event 'b' has onset nan s"),
    (
        {"x": GOOD},
        {"x": [(0, 1, "dog")]},
        {"x": 1.0},
        DataError,
        "clip 'x': event label 'dog' is not among the 2 classes",
    ),
    (
        {"x": np.zeros((10, 3))},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': scores have shape (10, 3); needed: (frames, 2 classes)",
    ),
    ({"x": np.zeros(10)}, {"x": [(0, 1, "a")]}, {"x": 1.0}, DataError, "clip 'x': scores have shape (10,)"),
    ({"x": np.zeros((0, 2))}, {"x": [(0, 1, "a")]}, {"x": 1.0}, DataError, "clip 'x': scores have shape (0, 2)"),
    (
        {"x": GOOD, "y": GOOD},
        {"x": [(0, 1, "a")]},
        {"x": 1.0, "y": 1.0},
        DataError,
        "scores and ground_truth name different clips, such as 'y'",
    ),
    (
        {"x": GOOD},
        {"x": [(0, 1, "a")]},
        {"z": 1.0},
        DataError,
        "scores and durations name different clips, such as 'x'",
    ),
    ({"x": GOOD}, {"x": [(0, 1, "a")]}, {"x": 0.0}, DataError, "clip 'x': duration 0.0 s must be above 0"),
    ({"x": GOOD}, {"x": [(0, 1, "a")]}, {"x": float("nan")}, DataError, "clip 'x': duration nan s must be above 0"),
    ({"x": GOOD}, {"x": [(0, 1, "a")]}, {"x": None}, DataError, "clip 'x': duration None is not a number of seconds"),
    ({"x": GOOD}, {"x": [(0, 1, "a")]}, {"x": "1"}, DataError, "clip 'x': duration '1' is not a number of seconds"),
    (
        {"x": GOOD + 1j},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': scores are of type complex128; needed: real numbers (frames, classes)",
    ),
    (
        {"x": GOOD.astype(str)},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': scores are of type <U32; needed: real numbers",
    ),
    (
        {"x": None},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': scores are of type object; needed: real numbers",
    ),
    (
        {"x": [[0.1, 0.2], [0.3]]},
        {"x": [(0, 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': scores make no array (setting an array element with a sequence.",
    ),
    (
        {"x": GOOD},
        {"x": [(0, 1)]},
        {"x": 1.0},
        DataError,
        "clip 'x': events must be (onset_s, offset_s, label) each (not enough values to unpack",
    ),
    ({"x": GOOD}, {"x": [3]}, {"x": 1.0}, DataError, "clip 'x': events must be (onset_s, offset_s, label) each ("),
    (
        {"x": GOOD},
        {"x": "a"},
        {"x": 1.0},
        DataError,
        "clip 'x': its events are a str; needed: a list of (onset_s, offset_s, label)",
    ),
    (
        {"x": GOOD},
        {"x": ["01a"]},
        {"x": 1.0},
        DataError,
        "clip 'x': one of its events is a str; needed: a list of (onset_s, offset_s, label)",
    ),
    ({"x": GOOD}, {"x": None}, {"x": 1.0}, DataError, "clip 'x': events must be (onset_s, offset_s, label) each ("),
    (
        {"x": GOOD},
        {"x": [("0", 1, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': event 'a' has onset '0' and offset 1; needed: seconds as numbers",
    ),
    (
        {"x": GOOD},
        {"x": [(0, None, "a")]},
        {"x": 1.0},
        DataError,
        "clip 'x': event 'a' has onset 0 and offset None; needed: seconds as numbers",
    ),
    (
        {"x": GOOD},
        {"x": [(0, 1, ["a"])]},
        {"x": 1.0},
        DataError,
        "clip 'x': event label ['a'] is not among the 2 classes",
    ),
    (
        {"x": GOOD},
        {"x": [(0, 0.5, "a")]},
        {"x": 0.9},
        ConfigError,
        "clip 'x': 10 frames of 0.1 s are more than a clip of 0.9 s has",
    ),
]


@pytest.mark.parametrize(("scores", "truth", "durations", "error", "message"), BAD, ids=[row[-1] for row in BAD])
def test_input_that_makes_no_sense(
    scores: dict[str, Any], truth: dict[str, Any], durations: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        psds1(scores, truth, durations, classes=["a", "b"], frame_hop_s=HOP_S)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("back_end", ["exact", "sed_scores_eval", "psds_eval"])
def test_lists_and_generators_are_taken(back_end: Any) -> None:
    scores = columns(active((2, 5, 0.9)), active())
    events = [(0.2, 0.5, "a"), (0.6, 0.9, "b")]
    expected, found = (
        psds1({"x": array}, {"x": some}, {"x": 1.0}, classes=["a", "b"], frame_hop_s=HOP_S, back_end=back_end).per_class
        for array, some in ((scores, events), (scores.tolist(), (event for event in events)))
    )
    assert found == expected == {"a": 1.0, "b": 0.0}
