"""Frame scores to smoothed scores to events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy.ndimage import median_filter

from efficient_sed.audio.frontend import FrameGrid
from efficient_sed.data.events import Event


def smooth_scores(scores: np.ndarray, median_frames: int) -> np.ndarray:
    """Median over an odd window of frames, for scores (frames, classes). Borders are reflected, the edge frame repeated."""
    if median_frames == 1:
        return scores
    half = median_frames // 2
    padded = np.pad(scores, ((half, half), (0, 0)), mode="symmetric")  # not by scipy: 1.17.1 reads foreign memory where the window is much longer than the scores
    return np.asarray(median_filter(padded, size=(median_frames, 1))[half : half + len(scores)])


def decode_events(scores: np.ndarray, classes: Sequence[str], grid: FrameGrid, threshold: float, duration_s: float) -> list[Event]:
    """Runs of frames with a score of at least `threshold`, for scores (frames, classes); by onset, cut at the clip's duration."""
    return sorted(decode_stream([scores], classes, grid, threshold, duration_s))


def decode_stream(pieces: Iterable[np.ndarray], classes: Sequence[str], grid: FrameGrid, threshold: float, duration_s: float) -> Iterator[Event]:
    """Events from consecutive pieces of scores (frames, classes), each yielded once it has ended; memory does not grow with length."""
    first = 0
    onset = np.full(len(classes), -1)
    peak = np.zeros(len(classes))
    for scores in pieces:
        active = scores >= threshold
        changes = np.diff(np.concatenate([(onset >= 0)[None], active]).astype(np.int8), axis=0)  # +1 where a run begins, -1 behind its end
        for frame, index in zip(*np.nonzero(changes), strict=True):
            if changes[frame, index] > 0:
                onset[index], peak[index] = first + frame, 0.0
            else:
                begin = max(0, onset[index] - first)
                score = max(peak[index], float(scores[begin:frame, index].max(initial=0.0)))
                yield _event(onset[index], first + frame, classes[index], score, grid, duration_s)
                onset[index] = -1
        for index in np.nonzero(onset >= 0)[0]:
            peak[index] = max(peak[index], scores[max(0, onset[index] - first) :, index].max(initial=0.0))
        first += len(scores)
    for index in np.nonzero(onset >= 0)[0]:
        yield _event(onset[index], first, classes[index], float(peak[index]), grid, duration_s)


def smooth_stream(pieces: Iterable[np.ndarray], median_frames: int) -> Iterator[np.ndarray]:
    """`smooth_scores` of consecutive pieces, equal to smoothing them joined together, holding back half a window."""
    half = median_frames // 2
    before: np.ndarray | None = None  # frames already given out that the next ones need
    pending: np.ndarray | None = None  # frames that still lack their right context
    for piece in pieces:
        pending = piece if pending is None else np.concatenate([pending, piece])
        count = len(pending) - half
        if count <= half:
            continue
        context = pending if before is None else np.concatenate([before, pending])
        offset = len(context) - len(pending)
        yield smooth_scores(context, median_frames)[offset : offset + count]
        before, pending = context[offset + count - half : offset + count], pending[count:]
    if pending is not None:
        context = pending if before is None else np.concatenate([before, pending])
        yield smooth_scores(context, median_frames)[len(context) - len(pending) :]


def _event(first: int, last: int, label: str, score: float, grid: FrameGrid, duration_s: float) -> Event:
    return Event(round(float(first * grid.hop_s), 6), round(min(float(last * grid.hop_s), duration_s), 6), label, float(score))
