"""Loops of change points. Sums are whole numbers, so that equal scores give equal sums."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import CompiledLater

SHIFT = 10
PARTS = 1 << SHIFT  # in which a frame is cut: times are whole numbers of them
UNIT = 1 << 30  # in which a score is cut
LEVEL_OFFSET = 1e-3  # added to scores before they are divided


@CompiledLater
def _area(total: np.ndarray, units: np.ndarray, time: int) -> int:
    """Sum of scores before a time."""
    frame = time >> SHIFT
    area: int = total[frame] + units[frame] * (time & (PARTS - 1))
    return area


@CompiledLater
def cut_segments(scores: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Candidates, the stretches in which the step filter's output does not rise.

    Args:
        scores: In [0, 1], shape (classes, frames).
        halves: Half the filter of each class, in parts of a frame.

    Returns:
        First candidate of each class and behind the last class; rows (begin, end) of candidates in parts of a frame;
        rows (sum of scores before begin, before end); rows (largest score, least score of the gap behind).
    """
    num_classes, num_frames = scores.shape
    bounds, count = np.zeros(num_classes + 1, np.int64), 0
    times, sums = np.empty((256, 2), np.int64), np.empty((256, 2), np.int64)
    total, units = np.zeros(num_frames + 1, np.int64), np.zeros(num_frames + 1, np.int64)
    for column in range(num_classes):
        for frame in range(num_frames):
            units[frame] = np.int64(UNIT * min(max(scores[column, frame], 0.0), 1.0) + 0.5)
            total[frame + 1] = total[frame] + units[frame] * PARTS
        moments = _moments(num_frames, halves[column])
        edges = _edges(total, units, moments, halves[column])
        if count + len(edges) > len(times):
            more = np.empty((len(times) + len(edges), 2), np.int64)
            times, sums = np.concatenate((times, more)), np.concatenate((sums, more))
        for k in range(len(edges) // 2):
            for side in range(2):
                time = moments[edges[2 * k + side]]
                times[count, side], sums[count, side] = time, _area(total, units, time)
            count += 1
        bounds[column + 1] = count
    return bounds, times[:count], sums[:count], _levels(scores, bounds, times)


@CompiledLater
def _moments(num_frames: int, half: int) -> np.ndarray:
    """Times within the clip at which an end or the middle of the filter meets a frame's border; extremes lie there."""
    rest = half & (PARTS - 1)
    low, high = min(rest, PARTS - rest), max(rest, PARTS - rest)
    num = 1 if low == 0 else 2 if low == high else 3  # in a frame
    moments = np.empty(num_frames * num + 1, np.int64)
    for frame in range(num_frames):
        for k in range(num):
            moments[frame * num + k] = frame * PARTS + (0 if k == 0 else low if k == 1 else high)
    moments[-1] = num_frames * PARTS
    return moments


@CompiledLater
def _edges(total: np.ndarray, units: np.ndarray, moments: np.ndarray, half: int) -> np.ndarray:
    """Numbers of the moments at which a candidate begins and ends, in turn."""
    edges, count, has_risen = np.empty(len(moments) + 1, np.int64), 0, True
    outputs, last = np.empty(len(moments), np.int64), moments[-1]
    for k in range(len(moments)):
        time = moments[k]
        ahead, behind = _area(total, units, min(time + half, last)), _area(total, units, max(time - half, 0))
        outputs[k] = ahead + behind - 2 * _area(total, units, time)
    for k in range(len(moments) - 1):  # without a branch
        rises = outputs[k + 1] > outputs[k]
        edges[count] = k
        count += rises != has_risen
        has_risen = rises
    edges[count] = len(moments) - 1
    return edges[: count + count % 2]


@CompiledLater
def _frame_behind(time: int) -> int:
    """The first frame that begins no earlier than a time."""
    return (time + PARTS - 1) >> SHIFT


@CompiledLater
def _levels(scores: np.ndarray, bounds: np.ndarray, times: np.ndarray) -> np.ndarray:
    levels = np.zeros((bounds[-1], 2))
    for column in range(len(scores)):
        row = scores[column]
        for k in range(bounds[column], bounds[column + 1]):
            largest, least = -np.inf, np.inf
            for frame in range(times[k, 0] >> SHIFT, _frame_behind(times[k, 1])):
                largest = max(largest, row[frame])
            if k + 1 < bounds[column + 1]:
                for frame in range(times[k, 1] >> SHIFT, _frame_behind(times[k + 1, 0])):
                    least = min(least, row[frame])
            levels[k, 0], levels[k, 1] = largest, least
    return levels


@CompiledLater
def merge_segments(
    bounds: np.ndarray,
    times: np.ndarray,
    sums: np.ndarray,
    levels: np.ndarray,
    absolute: np.ndarray,
    relative: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Join neighbours whose gap is shallow; all gaps are judged on what `cut_segments` gave.

    Args:
        bounds: As `cut_segments` gives them.
        times: The same.
        sums: The same.
        levels: The same.
        absolute: Of each class, the depth from which on a gap parts.
        relative: Of each class, the ratio from which on a gap parts.

    Returns:
        Rows (class, begin, end) in parts of a frame, by class and time, and the mean score of each.
    """
    boxes, means, count = np.empty((len(times), 3), np.int64), np.empty(len(times)), 0
    for column in range(len(bounds) - 1):
        first = bounds[column]
        for k in range(first, bounds[column + 1]):
            if k + 1 < bounds[column + 1]:
                peak, least = max(levels[k, 0], levels[k + 1, 0]), levels[k, 1]
                is_near = (peak + LEVEL_OFFSET) / (least + LEVEL_OFFSET) < relative[column]
                if is_near and peak - least < absolute[column]:
                    continue
            boxes[count, 0], boxes[count, 1], boxes[count, 2] = column, times[first, 0], times[k, 1]
            means[count] = (sums[k, 1] - sums[first, 0]) / (times[k, 1] - times[first, 0]) / UNIT
            first = k + 1
            count += 1
    return boxes[:count], means[:count]


@CompiledLater
def _first_centre(time: int) -> int:
    """The first frame whose centre is not before a time."""
    return (time + PARTS // 2 - 1) >> SHIFT


@CompiledLater
def paint_boxes(boxes: np.ndarray, means: np.ndarray, curves: np.ndarray) -> None:
    """Write each box's mean into the frames whose centre it covers; `curves` (frames, classes) holds zeros."""
    for k in range(len(boxes)):
        for frame in range(_first_centre(boxes[k, 1]), _first_centre(boxes[k, 2])):
            curves[frame, boxes[k, 0]] = means[k]
