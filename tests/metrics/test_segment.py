"""Segment-based pAUROC equals sed_scores_eval's and a slow staircase."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.metrics.segment.metric import MAX_FPR, SegmentScores
from efficient_sed.metrics.segment.score import best_threshold, partial_auroc
from efficient_sed.postprocessing.events import decode_events

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it needs
    import sed_eval
    from sed_scores_eval import segment_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

CLASSES = ("cough", "keys", "knock", "phone")
VARIANT = {"variant": {"segment_s": 1.0, "segment_max_fpr": 0.1}}
Clips = dict[str, tuple[np.ndarray, list[Event], float]]


def random_clips(seed: int, hop_s: float, levels: int) -> Clips:
    """Clips of several lengths, some with a cut last frame, events on and off the borders of segments and frames."""
    rng = np.random.default_rng(seed)
    clips = {}
    for index, duration_s in enumerate([10.0, 9.73, 3.0, 0.5, 10.0, 1.02, 30.4] * 3):
        events = []
        for label in CLASSES:
            borders = np.sort(rng.choice(np.arange(round(duration_s / 0.02)), 4, replace=False)) * 0.02
            events += [Event(float(a), float(b), label) for a, b in borders.reshape(2, 2)[: rng.integers(0, 3)]]
        scores = (
            0.7 * rng.random((int(np.ceil(round(duration_s / hop_s, 6))), len(CLASSES))) ** 400
        )  # now and then a false alarm
        for event in events:
            scores[int(event.onset_s / hop_s) : int(event.offset_s / hop_s), CLASSES.index(event.label)] += 0.3
        scores = (np.floor(scores * levels) / levels).astype(np.float32)
        clips[f"clip{index}"] = (scores, events, duration_s)
    return clips


@pytest.mark.parametrize("levels", [4, 40, 1_000_000])  # with many ties, some, none
@pytest.mark.parametrize(("seed", "hop_s"), [(0, 0.04), (1, 0.02), (2, 1024 / 44100), (3, 0.3), (4, 2.5)])
def test_equal_to_sed_scores_eval(seed: int, hop_s: float, levels: int) -> None:
    clips = random_clips(seed, hop_s, levels)
    ours = SegmentScores(CLASSES, hop_s)
    frames = {}
    for clip, (scores, events, duration_s) in clips.items():
        ours.update(clip, scores, events, duration_s)
        borders = np.minimum(np.round(np.arange(len(scores) + 1) * hop_s, 6), duration_s)
        frames[clip] = create_score_dataframe(scores, borders, list(CLASSES))
    truth = {clip: [tuple(event[:3]) for event in events] for clip, (_, events, _) in clips.items()}
    durations = {clip: duration_s for clip, (_, _, duration_s) in clips.items()}
    expected, _ = segment_based.auroc(frames, truth, durations, segment_length=1.0, max_fpr=MAX_FPR)
    mean = expected.pop("mean")
    assert ours.by_class() == pytest.approx(expected, abs=1e-12)
    values = ours.metrics()
    assert values["segment_pauroc"] == pytest.approx(mean, abs=1e-12)
    assert values["variant"] == VARIANT["variant"]
    assert 0 < mean < 1


@pytest.mark.parametrize(("seed", "segment_s", "levels"), [(0, 1.0, 4), (1, 0.5, 40), (2, 0.3, 1_000_000)])
def test_whole_area_and_best_f1_equal_to_sed_scores_eval(seed: int, segment_s: float, levels: int) -> None:
    """At other lengths, too; at their best threshold sed_eval gives the same F1."""
    clips = random_clips(seed, 0.04, levels)
    clips = {clip: (scores + np.float32(1e-3), events, seconds) for clip, (scores, events, seconds) in clips.items()}
    ours = SegmentScores(CLASSES, 0.04, segment_s)
    frames, truth, durations = {}, {}, {}
    for clip, (scores, events, duration_s) in clips.items():
        ours.update(clip, scores, events, duration_s)
        borders = np.minimum(np.round(np.arange(len(scores) + 1) * 0.04, 6), duration_s)
        frames[clip] = create_score_dataframe(scores, borders, list(CLASSES))
        truth[clip], durations[clip] = [tuple(event[:3]) for event in events], duration_s
    expected, _ = segment_based.auroc(frames, truth, durations, segment_length=segment_s, max_fpr=None)
    f1, precision, recall, _, counts = segment_based.best_fscore(frames, truth, durations, segment_length=segment_s)
    values, best = ours.metrics(), ours.best()
    assert values["segment_mauc"] == pytest.approx(expected["mean"], abs=1e-12)
    assert values["segment_best_f1_macro"] == pytest.approx(f1["macro_average"], abs=1e-12)
    for column, (label, own) in enumerate(values["segment_best"].items()):
        if best.hits[column] == counts[label]["tps"]:  # of thresholds with equal F1 they may choose another
            assert (own["precision"], own["recall"]) == pytest.approx((precision[label], recall[label]), abs=1e-12)
    segments = sed_eval.sound_event.SegmentBasedMetrics(list(CLASSES), time_resolution=segment_s)
    for scores, events, duration_s in clips.values():
        found = [
            event
            for label, own in values["segment_best"].items()
            for event in decode_events(scores, CLASSES, FrameGrid(), own["threshold"], duration_s)
            if event.label == label
        ]
        lists = [
            [{"event_label": e.label, "onset": e.onset_s, "offset": e.offset_s, "file": "clip"} for e in some]
            for some in (events, found)
        ]
        segments.evaluate(*lists, evaluated_length_seconds=duration_s)
    theirs = segments.results_class_wise_metrics()
    for label, own in values["segment_best"].items():
        assert own["f1"] == pytest.approx(theirs[label]["f_measure"]["f_measure"], abs=1e-12)


def slow_area(positives: list[int], negatives: list[int], max_fpr: float) -> float:
    points = sorted(
        (sum(n >= u for n in negatives) / len(negatives), sum(p >= u for p in positives) / len(positives))
        for u in {*positives, *negatives, 99}
    )
    area = 0.0
    for (x, y), (following, _) in zip(points, [*points[1:], (max_fpr, 0)], strict=True):
        area += y * max(0.0, min(following, max_fpr) - x)
    return area / max_fpr


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.sampled_from([0.05, 0.1, 0.5, 1.0]),
)
def test_area_under_the_staircase(positives: list[int], negatives: list[int], max_fpr: float) -> None:
    assert partial_auroc(np.array(positives), np.array(negatives), max_fpr) == pytest.approx(
        slow_area(positives, negatives, max_fpr), abs=1e-12
    )


def test_by_hand() -> None:
    """Twenty negatives, so that a step is 0.05 wide.

    One of two positives above the first negative, both above the second.
    """
    negatives = np.array([0.8, 0.6, *[0.1] * 18])
    assert partial_auroc(np.array([0.9, 0.7]), negatives, 0.1) == pytest.approx((0.5 + 1.0) / 2)
    assert partial_auroc(np.array([0.8, 0.6]), negatives, 0.1) == pytest.approx(
        (0.0 + 0.5) / 2
    )  # ties count for the negative


def test_merging_equals_one_pass() -> None:
    clips = list(random_clips(5, 0.04, 50).values())
    whole, *parts = (SegmentScores(CLASSES, 0.04) for _ in range(3))
    for index, clip in enumerate(clips):
        whole.update(f"clip{index}", *clip)
        parts[index % 2].update(f"clip{index}", *clip)
    parts[0].merge(parts[1])
    assert parts[0].by_class() == whole.by_class()
    assert parts[0].metrics() == whole.metrics()


def test_a_class_that_is_never_found() -> None:
    assert best_threshold(np.array([0.9, 0.2, 0.6, 0.0], np.float32), np.zeros(4, bool)) == (0.5, 0, 2)
    assert best_threshold(np.array([0.0, 0.2], np.float32), np.array([True, False])) == (0.5, 0, 0)
    threshold, *counts = best_threshold(np.array([0.5, 0.25, 0.0], np.float32), np.array([True, False, True]))
    assert (threshold, counts) == (0.375, [1, 1])


def test_classes_without_two_kinds_of_segments() -> None:
    scores = SegmentScores(CLASSES, 0.04)
    scores.update("clip", np.random.default_rng(0).random((25, 4)), [Event(0.0, 1.0, "cough")], 1.0)
    values = scores.metrics()
    assert (values["segment_pauroc"], values["segment_mauc"]) == (None, None)
    assert list(values["segment_best"]) == ["cough"]
    assert values["segment_best_f1_macro"] == 1.0
    scores.update("clip", np.random.default_rng(1).random((25, 4)), [], 1.0)
    assert list(scores.by_class()) == ["cough"]
