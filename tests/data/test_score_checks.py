"""Every metric, and whatever else takes scores, refuses what is no number before it smooths or counts anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError
from efficient_sed.inference.evaluate import start_scores
from efficient_sed.inference.report import write_report
from efficient_sed.metrics.event.hear import HEAR_GRID, choose_postprocessing, event_metrics, score_events
from efficient_sed.metrics.event.metric import CollarCounts
from efficient_sed.metrics.frame.metric import FrameCounts
from efficient_sed.metrics.psds.score import psds1
from efficient_sed.metrics.segment.metric import SegmentScores
from efficient_sed.metrics.tagging.score import tagging_metrics

CLASSES = ["a", "b"]
GRID = FrameGrid()
EVENTS = [Event(0.2, 0.6, "a"), Event(1.0, 1.4, "b")]
SECONDS = 2.0


def spoilt(value: float, frame: int = 7) -> np.ndarray:
    scores = np.full((50, 2), 0.1, np.float32)
    scores[frame, 1] = value
    return scores


def by_evaluation(scores: np.ndarray) -> None:
    """A window of a clip, as `train` and `evaluate` collect it, with a long median filter."""
    clip = Clip("x", AudioFile(Path("unused")), SECONDS, tuple(EVENTS))
    windows = EvaluationWindows([clip], CLASSES, GRID, SECONDS)
    collected = start_scores(windows, "detection", EvaluationConfig(), 21)
    collected.add(torch.tensor([0]), torch.from_numpy(scores.T[None]), torch.zeros(1, 2))


def by_tagging(scores: np.ndarray) -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    tagging_metrics(torch.from_numpy(scores[[0, 7]]), targets, CLASSES, ["w", "x"])


def by_psds(back_end: Any) -> Callable[[np.ndarray], object]:
    options: dict[str, Any] = {"classes": CLASSES, "frame_hop_s": 0.04, "back_end": back_end}
    return lambda scores: psds1({"x": scores}, {"x": EVENTS}, {"x": SECONDS}, **options)


METRICS: dict[str, Callable[[np.ndarray], object]] = {
    **{back_end: by_psds(back_end) for back_end in ("exact", "sed_scores_eval", "psds_eval")},
    "segments": lambda scores: SegmentScores(CLASSES, 0.04).update("x", scores, EVENTS, SECONDS),
    "frames": lambda scores: FrameCounts(CLASSES, GRID).update("x", scores, EVENTS, SECONDS),
    "collars": lambda scores: CollarCounts(CLASSES, GRID).update("x", scores, EVENTS, SECONDS),
    "events": lambda scores: event_metrics({"x": EVENTS}, {"x": scores}, CLASSES, 0.04),
    "tuning": lambda scores: choose_postprocessing({"x": EVENTS}, {"x": scores}, CLASSES, 0.04, HEAR_GRID),
    "evaluation": by_evaluation,
    "tagging": by_tagging,
}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("metric", METRICS)
def test_no_metric_takes_what_is_no_number(metric: str, value: float) -> None:
    message = rf"^clip 'x': (a|the) score of class 'b' is not a number \({value}( in frame 7)?\)$"
    with pytest.raises(DataError, match=message):
        METRICS[metric](spoilt(value))


@pytest.mark.parametrize("metric", METRICS)
def test_minus_infinity_is_a_score_that_nothing_reaches(metric: str) -> None:
    METRICS[metric](spoilt(-np.inf))


@pytest.mark.parametrize("metric", [name for name in METRICS if name not in ("tagging", "evaluation")])
def test_no_metric_takes_another_shape(metric: str) -> None:
    with pytest.raises(DataError, match=r"^clip 'x': scores have shape \(50, 3\); needed: \(frames, 2 classes\)$"):
        METRICS[metric](np.zeros((50, 3)))


def test_no_metric_takes_an_unknown_label() -> None:
    events = [Event(0.0, 1.0, "dog")]
    for metric in (SegmentScores(CLASSES, 0.04), FrameCounts(CLASSES, GRID), CollarCounts(CLASSES, GRID)):
        with pytest.raises(DataError, match=r"^clip 'x': event label 'dog' is not among the 2 classes"):
            metric.update("x", np.zeros((50, 2)), events, SECONDS)
    with pytest.raises(DataError, match=r"^event scores: event label 'dog' is not among the 2 classes"):
        score_events({"x": events}, {"x": []}, CLASSES)
    with pytest.raises(DataError, match=r"^true and detected events are of different clips, such as 'y'$"):
        score_events({"x": EVENTS}, {"x": [], "y": []}, CLASSES)
    assert SegmentScores(CLASSES, 0.04).metrics()["segment_pauroc"] is None


class Broken:
    """A detector that gives NaN in its second window."""

    classes, grid, clip_seconds, median_frames, min_samples = CLASSES, GRID, 1.0, 9, 1

    def __init__(self) -> None:
        self.num_windows = 0

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        self.num_windows += 1
        return spoilt(np.nan if self.num_windows == 2 else 0.1, 3)[None, : GRID.num_frames(waveform.shape[1])]


def test_detection_does_not_smooth_it_away(tmp_path: Path) -> None:
    samples = np.zeros(40_000, np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    with pytest.raises(DataError, match=r"a\.wav: a score of class 'b' is not a number \(nan in frame 23\)$"):
        es.detect(tmp_path / "a.wav", model=Broken())
    with pytest.raises(DataError, match=r"^the stream: a score of class 'b' is not a number \(nan in frame "):
        list(es.Stream(Broken(), hop_s=1.0, lookahead_s=0.0).events(chunks(samples)))
    with pytest.raises(DataError, match=r"a\.wav: a score of class 'b' is not a number \(nan in frame 7\)$"):
        write_report(tmp_path / "a.html", tmp_path / "a.wav", spoilt(np.nan), CLASSES, 0.04)


def chunks(samples: np.ndarray) -> Iterator[np.ndarray]:
    yield from np.split(samples, 10)
