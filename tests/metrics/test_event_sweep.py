"""Counts at every threshold equal those of a decoding at each, and sed_scores_eval's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.metrics.event.score import HitCounts
from efficient_sed.metrics.event.sweep import EventCurves
from efficient_sed.metrics.intersection.sweep import IntersectionCurves
from efficient_sed.metrics.run_curves import RunCurves
from efficient_sed.postprocessing.events import decode_events

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it needs
    from sed_scores_eval import collar_based, intersection_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

CLASSES, GRID = ("cough", "keys", "knock"), FrameGrid()
Clip = tuple[np.ndarray, tuple[Event, ...], float]


def random_clip(rng: np.random.Generator, num_frames: int, levels: int) -> Clip:
    """Events of two of the three classes with borders on the frames' and off them; the last frame may be cut."""
    duration_s = num_frames * 0.04 - float(rng.choice([0.0, 0.03]))
    events = []
    for _ in range(rng.integers(0, 5)):
        onset = rng.integers(0, num_frames) * 0.04 + float(rng.choice([0.0, 0.011]))
        if onset < duration_s:
            offset = min(onset + rng.integers(1, 20) * 0.04, duration_s)
            events.append(Event(float(onset), float(offset), str(rng.choice(CLASSES[:2]))))
    scores = rng.integers(0, levels + 1, (num_frames, 3)) / levels
    for event in events:
        column = scores[:, CLASSES.index(event.label)]
        column[int(event.onset_s / 0.04) : int(event.offset_s / 0.04)] += rng.random()
    return np.minimum(scores, 1.0).astype(np.float32), merge_overlapping(events), duration_s


def filled(curves: RunCurves, clips: list[Clip]) -> RunCurves:
    for index, clip in enumerate(clips):
        curves.add(f"clip{index}", *clip)
    return curves


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 6, 10_000]), st.booleans())
def test_counts_equal_those_of_decoded_events(seed: int, levels: int, has_offsets: bool) -> None:
    """At every threshold, for weighted clips; and no threshold is better than the best."""
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, int(rng.integers(1, 30)), levels) for _ in range(3)]
    curves = filled(EventCurves(CLASSES, GRID, has_offsets=has_offsets), clips)
    weights = rng.integers(0, 3, 3)
    best = curves.best(weights)
    candidates = np.unique(np.concatenate([scores.ravel() for scores, _, _ in clips]))
    for threshold in (*candidates[candidates > 0], *best.thresholds):
        counts = np.zeros((3, 3))
        for weight, (scores, events, duration_s) in zip(weights, clips, strict=True):
            own = HitCounts(CLASSES, has_offsets=has_offsets)
            own.add(events, decode_events(scores, CLASSES, GRID, float(threshold), duration_s))
            counts += weight * own.counts
        ours = curves.f1_at(float(threshold), weights)
        assert np.array_equal([ours.hits, ours.num_true, ours.detected], counts)
        assert (np.nan_to_num(ours.f1) <= np.nan_to_num(best.f1)).all()
        for column in np.flatnonzero(best.thresholds == threshold):
            assert (best.hits[column], best.detected[column]) == (counts[0, column], counts[2, column])


def collars(clips: list[Clip], share: float) -> tuple[RunCurves, Callable[..., Any]]:
    ours = EventCurves(CLASSES[:2], GRID, collar_s=0.1, offset_share=share)
    theirs = {"onset_collar": 0.1, "offset_collar": 0.1, "offset_collar_rate": share, "time_decimals": 18}
    return filled(ours, clips), lambda *truth: collar_based.best_fscore(*truth, **theirs)


def intersections(clips: list[Clip], share: float) -> tuple[RunCurves, Callable[..., Any]]:
    ours = IntersectionCurves(CLASSES[:2], GRID, dtc=share, gtc=0.6)
    theirs = {"dtc_threshold": share, "gtc_threshold": 0.6}
    return filled(ours, clips), lambda *truth: intersection_based.best_fscore(*truth, **theirs)


@pytest.mark.parametrize("criterion", [collars, intersections])
@pytest.mark.parametrize(("seed", "share", "levels"), [(0, 0.2, 5), (1, 0.5, 10_000), (2, 0.5, 10)])
def test_best_equals_sed_scores_eval(
    criterion: Callable[..., tuple[RunCurves, Callable[..., Any]]], seed: int, share: float, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, int(rng.integers(20, 60)), levels) for _ in range(12)]
    clips = [(np.maximum(scores[:, :2], np.float32(1e-4)), events, seconds) for scores, events, seconds in clips]
    curves, best_fscore = criterion(clips, share)
    frames, truth = {}, {}
    for index, (scores, events, duration_s) in enumerate(clips):
        borders = np.minimum(np.round(np.arange(len(scores) + 1) * 0.04, 6), duration_s)
        frames[f"clip{index}"] = create_score_dataframe(scores, borders, list(CLASSES[:2]))
        truth[f"clip{index}"] = [tuple(event[:3]) for event in events]
    f1, precision, recall, thresholds, counts = best_fscore(frames, truth)
    ours = curves.best()
    assert ours.macro_f1 == pytest.approx(f1["macro_average"], abs=1e-12)
    assert 0.05 < ours.macro_f1 < 1
    for column, label in enumerate(CLASSES[:2]):
        assert ours.num_true[column] == counts[label]["n_ref"]
        if ours.hits[column] == counts[label]["tps"]:  # of thresholds with equal F1 they may choose another
            assert ours.precision[column] == pytest.approx(precision[label], abs=1e-12)
            assert ours.recall[column] == pytest.approx(recall[label], abs=1e-12)
        at_theirs = curves.f1_at(thresholds[label])
        assert at_theirs.f1[column] == pytest.approx(f1[label], abs=1e-12)


def test_thresholds_lie_between_scores() -> None:
    scores = np.zeros((50, 3), np.float32)
    scores[10:20, 0], scores[30:35, 0] = 0.75, 0.25
    scores[10:20, 1] = np.nextafter(np.float32(0.5), np.float32(1))
    scores[30:35, 1] = 0.5  # nothing lies between
    scores[10:20, 2] = 1e-45
    events = [Event(0.4, 0.8, label) for label in CLASSES]
    best = filled(EventCurves(CLASSES, GRID), [(scores, tuple(events), 2.0)]).best()
    assert best.thresholds.tolist() == [0.5, float(scores[10, 1]), float(np.float32(1e-45))]
    assert best.f1.tolist() == [1.0, 1.0, 1.0]


def test_classes_without_events_or_hits() -> None:
    scores = np.full((50, 3), 0.1, np.float32)
    scores[10:20] = 0.9
    curves = filled(EventCurves(CLASSES, GRID), [(scores, (Event(1.0, 1.5, "cough"),), 2.0)])
    best = curves.best()
    assert best.thresholds.tolist() == [0.5, 0.5, 0.5]
    assert (best.detected.tolist(), best.num_true.tolist()) == ([1, 1, 1], [1, 0, 0])
    assert np.isnan(best.f1).tolist() == [False, True, True]
    assert (best.macro_f1, best.micro_f1) == (0.0, 0.0)
    assert curves.curve(1).detected.tolist() == [1.0, 1.0]
    assert np.isnan(EventCurves(CLASSES, GRID).best().macro_f1)
    with pytest.raises(ValueError, match=r"^weights have shape \(2,\); needed: one for each of 1$"):
        curves.best(np.ones(2))


def test_merging_equals_one_pass() -> None:
    rng = np.random.default_rng(0)
    clips = [random_clip(rng, 40, 1000) for _ in range(9)]
    whole, left, right = (EventCurves(CLASSES, GRID) for _ in range(3))
    for index, clip in enumerate(clips):
        whole.add(f"clip{index}", *clip)
        (left if index < 4 else right).add(f"clip{index}", *clip)
    left.best()  # what was looked at can still grow
    left.merge(right)
    assert left.clip_ids == whole.clip_ids
    weights = rng.integers(0, 3, 9)
    for ours, expected in zip(vars(left.best(weights)).values(), vars(whole.best(weights)).values(), strict=True):
        assert np.array_equal(ours, expected)
    levels = [0.2, 0.9, 0.5]
    for level, ours in zip(levels, whole.f1_at_each(levels, weights), strict=True):
        for own, expected in zip(vars(ours).values(), vars(whole.f1_at(level, weights)).values(), strict=True):
            assert np.array_equal(own, expected)
    curve, best = whole.curve(0, weights), whole.best(weights)
    assert (2 * curve.hits / (curve.num_true + curve.detected)).max() == pytest.approx(best.f1[0])


def test_more_runs_at_one_score_than_sixteen_bits_count() -> None:
    """As in hours of sound whose scores have few levels."""
    scores = np.tile(np.array([[0.8], [0.1]], np.float32), (33_000, 1))
    curves = EventCurves(["dog"], FrameGrid())
    curves.add("long", scores, [Event(0.0, 0.04, "dog")], 66_000 * 0.04)
    assert curves.f1_at(0.5).detected.tolist() == [33_000]
