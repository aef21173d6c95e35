"""Loops of change points, compiled by numba. Sums are whole numbers, so that equal scores give equal sums."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

PARTS = 1024  # in which a frame is cut: times are whole numbers of them
UNIT = 1 << 30  # in which a score is cut
LEVEL_OFFSET = 1e-3  # added to scores before they are divided


@compiled
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
            units[frame] = round(UNIT * min(max(scores[column, frame], 0.0), 1.0))
            total[frame + 1] = total[frame] + units[frame] * PARTS
        half, length = halves[column], num_frames * PARTS
        rest = half % PARTS
        low, high = min(rest, PARTS - rest), max(rest, PARTS - rest)
        time, begin, last_time = 0, -1, 0
        sum_begin = last_sum = previous = np.int64(0)
        while time <= length:
            ahead, behind = min(time + half, length), max(time - half, 0)
            here = total[time // PARTS] + units[time // PARTS] * (time % PARTS)
            output = (
                (total[ahead // PARTS] + units[ahead // PARTS] * (ahead % PARTS))
                + (total[behind // PARTS] + units[behind // PARTS] * (behind % PARTS))
                - 2 * here
            )
            if time > 0:
                rises = output > previous
                if not rises and begin < 0:
                    begin, sum_begin = last_time, last_sum
                if begin >= 0 and (rises or time == length):
                    if count == len(times):
                        times = np.concatenate((times, np.empty_like(times)))
                        sums = np.concatenate((sums, np.empty_like(sums)))
                    times[count, 0], sums[count, 0] = begin, sum_begin
                    times[count, 1], sums[count, 1] = (last_time, last_sum) if rises else (time, here)
                    begin = -1
                    count += 1
            previous, last_time, last_sum = output, time, here
            within = time % PARTS
            if low > 0 and within < low:
                time += low - within
            elif low > 0 and within < high:
                time += high - within
            else:
                time += PARTS - within
        bounds[column + 1] = count
    return bounds, times[:count], sums[:count], _levels(scores, bounds, times)


@compiled
def _levels(scores: np.ndarray, bounds: np.ndarray, times: np.ndarray) -> np.ndarray:
    levels = np.zeros((bounds[-1], 2))
    for column in range(len(scores)):
        row = scores[column]
        for k in range(bounds[column], bounds[column + 1]):
            largest, least = -np.inf, np.inf
            for frame in range(times[k, 0] // PARTS, -(-times[k, 1] // PARTS)):
                largest = max(largest, row[frame])
            if k + 1 < bounds[column + 1]:
                for frame in range(times[k, 1] // PARTS, -(-times[k + 1, 0] // PARTS)):
                    least = min(least, row[frame])
            levels[k, 0], levels[k, 1] = largest, least
    return levels


@compiled
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


@compiled
def _first_centre(time: int) -> int:
    """The first frame whose centre is not before a time."""
    return (time + PARTS // 2 - 1) // PARTS


@compiled
def paint_boxes(boxes: np.ndarray, means: np.ndarray, curves: np.ndarray) -> None:
    """Write each box's mean into the frames whose centre it covers; `curves` (frames, classes) holds zeros."""
    for k in range(len(boxes)):
        for frame in range(_first_centre(boxes[k, 1]), _first_centre(boxes[k, 2])):
            curves[frame, boxes[k, 0]] = means[k]
