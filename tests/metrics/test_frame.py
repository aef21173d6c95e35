"""Frame-based F1 and error rate equal sed_eval's segment metrics with a frame for a segment."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.errors import DataError
from efficient_sed.metrics.frame.metric import FrameCounts
from efficient_sed.postprocessing.events import decode_events

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it needs
    import sed_eval

CLASSES = ["cough", "keys", "knock", "phone"]
GRID = FrameGrid()
GRIDS = [GRID, FrameGrid(44_100, 441, 1, 441), FrameGrid(22_050, 220, 1, 220)]
VARIANT = {"variant": {"frame_threshold": 0.5}}
Clip = tuple[np.ndarray, list[Event], float]


def random_clips(seed: int, hop_s: float = GRID.hop_s) -> list[Clip]:
    """Off the grid: sed_eval does not round the quotient of time and frame, and so finds the frame that is meant."""
    rng = np.random.default_rng(seed)
    clips = []
    for num_frames in (250, 100, 1, 30, 250):
        onsets = rng.uniform(0, num_frames * hop_s, 8 if num_frames > 1 else 0)
        events = [
            Event(
                float(onset),
                float(min(onset + rng.uniform(0.01, 2), num_frames * hop_s - 0.001)),
                str(rng.choice(CLASSES)),
            )
            for onset in onsets
        ]
        scores = np.repeat(rng.random((-(-num_frames // 5), 4)), 5, axis=0)[:num_frames].astype(np.float32)
        clips.append((scores, [event for event in events if event.onset_s < event.offset_s], num_frames * hop_s))
    return clips


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{1000 * grid.hop_s:.2f} ms")
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_sed_eval(seed: int, grid: FrameGrid) -> None:
    ours, theirs = (
        FrameCounts(CLASSES, grid),
        sed_eval.sound_event.SegmentBasedMetrics(CLASSES, time_resolution=grid.hop_s),
    )
    for scores, events, duration_s in random_clips(seed, grid.hop_s):
        ours.update("clip", scores, events, duration_s)
        detected = [
            e._replace(onset_s=e.onset_s + 0.001, offset_s=e.offset_s - 0.001)
            for e in decode_events(scores, CLASSES, grid, 0.5, duration_s)
        ]
        lists: list[Any] = [
            [{"event_label": e.label, "onset": e.onset_s, "offset": e.offset_s, "file": "clip"} for e in some]
            for some in (events, detected)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.evaluate(*lists, evaluated_length_seconds=duration_s - 0.001)
    expected = theirs.results_overall_metrics()
    assert ours.metrics() == VARIANT | {
        "frame_f1": pytest.approx(expected["f_measure"]["f_measure"]),
        "frame_error_rate": pytest.approx(expected["error_rate"]["error_rate"]),
    }


def test_by_hand() -> None:
    """Truth: cough in frames 0-2, touched by 1 ms each at its ends, keys in frame 2.

    Found: keys in frames 1-3 at the threshold itself, cough in 2.
    """
    scores = np.zeros((5, 4))
    scores[1:4, 1] = 0.5
    scores[2, 0] = 0.9
    counts = FrameCounts(CLASSES, GRID)
    counts.update("clip", scores, [Event(0.039, 0.081, "cough"), Event(0.08, 0.12, "keys")], 0.2)
    assert (counts.num_hits, counts.num_true, counts.num_detected) == (2, 4, 4)
    assert counts.num_errors == 3  # a deletion in frame 0, a substitution in 1, an insertion in 3
    assert counts.metrics() == VARIANT | {"frame_f1": 0.5, "frame_error_rate": 0.75}


def test_merging_equals_one_pass() -> None:
    whole, *parts = (FrameCounts(CLASSES, GRID) for _ in range(3))
    for index, clip in enumerate(random_clips(9)):
        whole.update(f"clip{index}", *clip)
        parts[index % 2].update(f"clip{index}", *clip)
    parts[0].merge(parts[1])
    assert parts[0].metrics() == whole.metrics()


def test_nothing_to_find() -> None:
    counts = FrameCounts(CLASSES, GRID)
    counts.update("clip", np.ones((5, 4)), [], 0.2)
    with pytest.raises(DataError, match=r"^frame scores need at least one event in the ground truth, found none$"):
        counts.metrics()
