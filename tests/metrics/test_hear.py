"""Event scores equal sed_eval's, and events are cut as HEAR cuts them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError
from efficient_sed.inference.evaluate import ClipScores, collected_event_metrics, evaluate_model
from efficient_sed.metrics.event.hear import (
    HEAR_GRID,
    OnsetPostprocessing,
    choose_postprocessing,
    cut_events,
    event_metrics,
    score_events,
)
from efficient_sed.models.factory import create_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it needs
    import sed_eval

CLASSES = ("cough", "keys", "knock", "phone")
HOP_S = 0.04
Lists = dict[str, list[Event]]


def random_events(rng: np.random.Generator, num_events: int, classes: tuple[str, ...] = CLASSES) -> list[Event]:
    """Times on a grid of 40 ms, so that many differ by exactly the collar, or end on a segment's border."""
    onsets = rng.integers(0, 150, num_events) * HOP_S
    return sorted(
        Event(float(onset), float(onset + rng.integers(1, 80) * HOP_S), str(rng.choice(classes))) for onset in onsets
    )


def sed_eval_scores(truth: Lists, detected: Lists) -> tuple[float, float, float]:
    labels = list(CLASSES)
    onsets = sed_eval.sound_event.EventBasedMetrics(
        labels, evaluate_onset=True, evaluate_offset=False, t_collar=0.2, empty_system_output_handling="zero_score"
    )
    segments = sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=1.0)
    for clip in truth:
        lists: list[Any] = [
            [{"event_label": e.label, "onset": e.onset_s, "offset": e.offset_s, "file": clip} for e in events[clip]]
            for events in (truth, detected)
        ]
        onsets.evaluate(*lists)
        segments.evaluate(*lists)
    macro = onsets.results_class_wise_average_metrics()["f_measure"]["f_measure"]
    return (
        onsets.results_overall_metrics()["f_measure"]["f_measure"],
        macro,
        segments.results_overall_metrics()["error_rate"]["error_rate"],
    )


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_sed_eval(seed: int) -> None:
    """Dense and sparse events; classes never found or never there; clips without events or without detections."""
    rng = np.random.default_rng(seed)
    counts = [(40, 40), (5, 30), (30, 0), (0, 7), (0, 0), (12, 3)]
    present, found = (CLASSES[:3], CLASSES[1:]) if seed % 2 else (CLASSES, CLASSES)
    truth = {f"clip{i}": random_events(rng, num, present) for i, (num, _) in enumerate(counts)}
    detected = {f"clip{i}": random_events(rng, num, found) for i, (_, num) in enumerate(counts)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sed_eval_scores(truth, detected)
    assert score_events(truth, detected, CLASSES) == pytest.approx(expected, rel=1e-12)


def test_perfect_and_empty() -> None:
    truth = {"clip": random_events(np.random.default_rng(0), 20), "silence": []}
    assert score_events(truth, truth, CLASSES) == (1.0, 1.0, 0.0)
    assert score_events(truth, {"clip": [], "silence": []}, CLASSES) == (0.0, 0.0, 1.0)
    with pytest.raises(DataError, match=r"^event scores need at least one event in the ground truth, found none$"):
        score_events({"silence": []}, {"silence": []}, CLASSES)


def hear_events(scores: np.ndarray, median_ms: float, min_duration_ms: float) -> list[tuple[float, float, int]]:
    """HEAR's rule, frame by frame: times in ms, those of a frame its centre."""
    times = (np.arange(len(scores)) + 0.5) * 40
    active = scipy.ndimage.median_filter(scores, size=(round(median_ms / 40), 1)) > 0.5
    events = []
    for column in range(scores.shape[1]):
        run: list[float] = []
        for frame in range(len(scores) + 1):
            if frame < len(scores) and active[frame, column]:
                run.append(times[frame])
            elif run:
                if run[-1] - run[0] >= min_duration_ms:
                    events.append((run[0], run[-1], column))
                run = []
    return sorted(events)


@pytest.mark.parametrize("median_ms", [40.0, 200.0, 250.0])
@pytest.mark.parametrize("min_duration_ms", [0.0, 120.0, 125.0, 250.0])
def test_events_are_cut_as_in_hear(median_ms: float, min_duration_ms: float) -> None:
    rng = np.random.default_rng(1)
    scores = np.clip(0.5 + np.cumsum(rng.normal(0, 0.1, (400, 4)), axis=0) % 0.6 - 0.3, 0, 1)
    found = cut_events(scores, CLASSES, HOP_S, OnsetPostprocessing(median_ms / 1000, min_duration_ms / 1000, 0.5))
    expected = hear_events(scores, median_ms, min_duration_ms)
    assert len(expected) > 20
    assert [(e.onset_s, e.offset_s, e.label) for e in found] == [
        (pytest.approx(a / 1000), pytest.approx(b / 1000), CLASSES[c]) for a, b, c in expected
    ]


def blocks(*frames: tuple[int, int], total: int = 250) -> np.ndarray:
    scores = np.zeros((total, 1))
    for first, last in frames:
        scores[first:last] = 0.9
    return scores


def test_the_grid_is_searched_by_onsets() -> None:
    short, long = HEAR_GRID
    assert (short, long) == (OnsetPostprocessing(0.25, 0.125, 0.5), OnsetPostprocessing(0.25, 0.25, 0.5))
    scores = {"clip": blocks((20, 26), (50, 98))}  # 200 ms between the centres of the first one's outer frames
    both, one = {"clip": [Event(0.8, 1.0, "knock"), Event(2.0, 4.0, "knock")]}, {"clip": [Event(2.0, 4.0, "knock")]}
    assert choose_postprocessing(both, scores, ["knock"], HOP_S) == short
    assert choose_postprocessing(one, scores, ["knock"], HOP_S) == long
    assert choose_postprocessing(both, {"clip": blocks((50, 100))}, ["knock"], HOP_S) == short  # the earlier of equals
    assert event_metrics(one, scores, ["knock"], HOP_S) == {
        "onset_f": 1.0, "onset_f_macro": 1.0, "segment_error_rate": 0.0,
        "postprocessing": {"median_s": 0.25, "min_duration_s": 0.25, "threshold": 0.5}
    }  # fmt: skip
    assert event_metrics(one, scores, ["knock"], HOP_S, short)["onset_f"] == pytest.approx(2 / 3)


def test_what_is_tuned_on_one_part_is_applied_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tuning clip rewards short events; the scored one would not."""
    model = create_model("fmn04", classes=("cough", "knock"))
    clips = [
        Clip(name, AudioFile(Path("unused")), 9.96, events)
        for name, events in (("tuning", (Event(0.8, 1.0, "knock"),)), ("scored", (Event(2.0, 4.0, "knock"),)))
    ]
    tuning, scored = (EvaluationWindows([clip], model.classes, model.grid, 10, ("knock",)) for clip in clips)
    frames = torch.from_numpy(
        np.concatenate([np.ones((249, 1)), blocks((20, 26), (50, 100), total=249)], axis=1).T[None]
    )

    def score(_model: Any, collected: ClipScores, *_: Any) -> list[str]:
        collected.add(torch.tensor([0]), frames, torch.zeros(1, 2))
        return []

    monkeypatch.setattr("efficient_sed.inference.evaluate.score_windows", score)
    options: dict[str, Any] = {
        "task": "detection",
        "config": EvaluationConfig(),
        "median_frames": 1,
        "batch_size": 1,
        "num_workers": 0,
        "on_error": "raise",
    }
    assert "onset_f" not in evaluate_model(model, scored, **options)
    result = evaluate_model(model, scored, **options, tuning=tuning)
    assert result["postprocessing"]["min_duration_s"] == 0.125
    assert result["onset_f"] == pytest.approx(2 / 3)
    assert evaluate_model(model, scored, **options, tuning=scored)["postprocessing"]["min_duration_s"] == 0.25
    collected = ClipScores(scored, keeps_scores=True)
    score(model, collected)
    assert collected_event_metrics(collected, model.grid.hop_s)["onset_f"] == 1.0
