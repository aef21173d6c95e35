"""Event-based F1 equals sed_eval's; hits are the largest matching."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.errors import DataError
from efficient_sed.metrics.event.metric import CollarCounts
from efficient_sed.metrics.event.score import HitCounts, count_hits
from efficient_sed.postprocessing.events import decode_events

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it needs
    import sed_eval

CLASSES = ["cough", "keys", "knock", "phone"]
GRID = FrameGrid()


def random_events(rng: np.random.Generator, num_events: int, classes: list[str]) -> list[Event]:
    """Times on a grid of 40 ms, so that many differ by exactly the collar; dense, so that one fits several."""
    onsets = rng.integers(0, 100, num_events) * 0.04
    return sorted(
        Event(float(onset), float(onset + rng.integers(1, 60) * 0.04), str(rng.choice(classes))) for onset in onsets
    )


@pytest.mark.parametrize("has_offsets", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_equal_to_sed_eval(seed: int, has_offsets: bool) -> None:
    """Also with classes that are never found, or never there, clips without events and without detections."""
    rng = np.random.default_rng(seed)
    present, found = (CLASSES[:3], CLASSES[1:]) if seed % 2 else (CLASSES, CLASSES)
    ours = HitCounts(CLASSES, has_offsets=has_offsets)
    theirs = sed_eval.sound_event.EventBasedMetrics(
        CLASSES,
        evaluate_onset=True,
        evaluate_offset=has_offsets,
        t_collar=0.2,
        percentage_of_length=0.2,
        empty_system_output_handling="zero_score",
    )
    for num_true, num_found in [(40, 40), (5, 30), (30, 0), (0, 7), (0, 0), (60, 80)]:
        truth, detected = random_events(rng, num_true, present), random_events(rng, num_found, found)
        detected += [
            e._replace(onset_s=e.onset_s + rng.normal(0, 0.2), offset_s=e.offset_s + rng.normal(0, 0.3))
            for e in truth[::2]
            if e.label in found
        ]
        ours.add(truth, detected)
        lists: list[Any] = [
            [{"event_label": e.label, "onset": e.onset_s, "offset": e.offset_s, "file": "clip"} for e in some]
            for some in (truth, detected)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.evaluate(*lists)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = (
            theirs.results_overall_metrics()["f_measure"]["f_measure"],
            theirs.results_class_wise_average_metrics()["f_measure"]["f_measure"],
        )
    assert ours.f1() == pytest.approx(expected, rel=1e-12)
    assert expected[0] > 0.1


def at(onsets: list[float], length_s: float = 1.0) -> list[Event]:
    return [Event(onset, onset + length_s, "knock") for onset in onsets]


@pytest.mark.parametrize(
    ("onsets", "detected", "hits"),
    [
        ([], [], 0),
        ([1.0], [1.2], 1),
        ([1.0], [1.25], 0),
        ([1.0, 1.3], [1.15], 1),
        ([1.0, 1.3], [1.15, 1.2], 2),
        ([1.0, 1.1, 1.2], [1.3, 1.4, 1.5], 2),
    ],
)
def test_onsets_by_hand(onsets: list[float], detected: list[float], hits: int) -> None:
    assert count_hits(at(onsets), at(detected, 5.0), has_offsets=False) == hits
    assert count_hits(at(onsets), at(detected, 5.0), has_offsets=True) == 0


@pytest.mark.parametrize(
    ("offset_s", "found_s", "hits"),
    [(1.5, 1.7, 1), (1.5, 1.75, 0), (11.0, 12.9, 1), (11.0, 13.1, 0), (11.0, 9.1, 1), (3.0, 2.59, 0)],
)
def test_offsets_by_hand(offset_s: float, found_s: float, hits: int) -> None:
    """200 ms, or a fifth of the length where that is more."""
    assert count_hits([Event(1.0, offset_s, "knock")], [Event(1.1, found_s, "knock")], has_offsets=True) == hits


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=6),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=6),
    st.booleans(),
)
def test_hits_are_the_largest_matching(
    first: list[tuple[int, int]], second: list[tuple[int, int]], has_offsets: bool
) -> None:
    def fits(row: tuple[int, int], column: tuple[int, int]) -> bool:
        return abs(row[0] - column[0]) <= 3 and (not has_offsets or abs(sum(row) - sum(column)) <= 3)

    def largest(rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> int:
        if not rows:
            return 0
        skipped = largest(rows[1:], columns)
        return max(
            [
                skipped,
                *(
                    1 + largest(rows[1:], columns[:i] + columns[i + 1 :])
                    for i, column in enumerate(columns)
                    if fits(rows[0], column)
                ),
            ]
        )

    tick_s = 0.066  # three of them are within the collar of 0.2 s, which is more than a fifth of nine of them
    events, detected = (
        [Event(onset * tick_s, (onset + length) * tick_s, "knock") for onset, length in some]
        for some in (first, second)
    )
    assert count_hits(events, detected, has_offsets=has_offsets) == largest(first, second)


def test_events_are_decoded_from_scores() -> None:
    """Also in clips that lack some of the classes, or have no event at all."""
    rng = np.random.default_rng(0)
    clips = [
        (
            np.repeat(rng.random((50, 4)), 5, axis=0),
            random_events(rng, 12 if num_classes else 0, CLASSES[:num_classes]),
            10.0,
        )
        for num_classes in (4, 4, 4, 3, 1, 0)
    ]
    whole, *parts = (CollarCounts(CLASSES, GRID) for _ in range(3))
    hits = [HitCounts(CLASSES, has_offsets=has_offsets) for has_offsets in (True, False)]
    for index, clip in enumerate(clips):
        whole.update(f"clip{index}", *clip)
        parts[index % 2].update(f"clip{index}", *clip)
        for counts in hits:
            counts.add(clip[1], decode_events(clip[0], CLASSES, GRID, 0.5, 10.0))
    parts[0].merge(parts[1])
    values = whole.metrics()
    assert parts[0].metrics() == values
    assert values.pop("variant") == {"event_threshold": 0.5, "event_collar_s": 0.2, "event_offset_share": 0.2}
    per_class = values.pop("per_class_events")
    assert tuple(values.values()) == (*hits[0].f1(), *hits[1].f1())
    for column, (label, own) in enumerate(per_class.items()):
        found, num_true, num_detected = hits[0].counts[:, column].tolist()
        assert (label, own["events"], own["found"], own["threshold"]) == (CLASSES[column], num_true, found, 0.5)
        assert (own["missed"], own["false_alarms"]) == (num_true - found, num_detected - found)
        assert own["false_alarms_per_hour"] == pytest.approx((num_detected - found) / 60 * 3600)
        assert own["precision"] == pytest.approx(found / num_detected)
        assert own["recall"] == pytest.approx(found / num_true)
        assert own["f1"] == pytest.approx(2 * found / (num_true + num_detected))
    assert list(values) == ["event_f1", "event_f1_macro", "event_onset_f1", "event_onset_f1_macro"]
    assert values["event_onset_f1"] > values["event_f1"] > 0


def test_perfect_and_empty() -> None:
    truth = random_events(np.random.default_rng(0), 20, CLASSES)
    counts = HitCounts(CLASSES, has_offsets=True)
    counts.add([], [])
    with pytest.raises(DataError, match=r"^event scores need at least one event in the ground truth, found none$"):
        counts.f1()
    counts.add(truth, truth)
    assert counts.f1() == (1.0, 1.0)


def test_a_threshold_and_collars_of_its_own() -> None:
    """A threshold of 0.7 is reached by the score of single precision nearest to it."""
    scores = np.zeros((50, 4), np.float32)
    scores[10:20, 0], scores[10:20, 1], scores[30:34, 3] = 0.6, 0.7, 0.3
    truth = [Event(0.4, 0.8, "cough"), Event(0.7, 0.8, "keys")]
    counts = CollarCounts(CLASSES, GRID, (0.65, 0.7, 0.5, 0.2), collar_s=0.31)
    counts.update("clip", scores, truth, 2.0)
    values = counts.metrics()
    assert values["variant"] == {
        "event_threshold": "per class",
        "event_collar_s": 0.31,
        "event_offset_share": 0.2,
    }
    assert {label: list(own.values()) for label, own in values["per_class_events"].items()} == {
        "cough": [1, 0, 1, 0, 0.0, None, 0.0, 0.0, 0.65],
        "keys": [1, 1, 0, 0, 0.0, 1.0, 1.0, 1.0, 0.7],
        "knock": [0, 0, 0, 0, 0.0, None, None, None, 0.5],
        "phone": [0, 0, 0, 1, 1800.0, 0.0, None, None, 0.2],
    }
    narrow = CollarCounts(CLASSES, GRID, (0.65, 0.7, 0.5, 0.2))
    narrow.update("clip", scores, truth, 2.0)
    assert narrow.metrics()["event_f1"] == 0
