"""The loop that finds runs of frames."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import CompiledLater


@CompiledLater
def find_runs(
    scores: np.ndarray, thresholds: np.ndarray, first: int, onset: np.ndarray, peak: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Runs of scores (frames, classes) that reach a threshold and end in these frames, by their end.

    Args:
        scores: The next frames, shape (frames, classes).
        thresholds: Shape (levels, classes), ascending in each class, so that runs nest: where a lower one is not
            reached, no higher one is.
        first: Number of the first frame.
        onset: Frames in which the runs still open began, shape (levels, classes), -1 for no run; carried on.
        peak: Highest scores in them; carried on.

    Returns:
        Rows (level, class, first frame, frame behind the last), and the highest score of each.
    """
    count = 0
    runs, peaks = np.empty((256, 4), np.int64), np.empty(256, scores.dtype)
    for frame in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            score = scores[frame, column]
            for level in range(len(thresholds)):
                begin = onset[level, column]
                if score >= thresholds[level, column]:
                    if begin < 0:
                        onset[level, column], peak[level, column] = first + frame, score
                    elif score > peak[level, column]:
                        peak[level, column] = score
                elif begin < 0:
                    break
                else:
                    if count == len(runs):
                        runs, peaks = (
                            np.concatenate((runs, np.empty_like(runs))),
                            np.concatenate((peaks, np.empty_like(peaks))),
                        )
                    runs[count, 0], runs[count, 1], runs[count, 2], runs[count, 3] = level, column, begin, first + frame
                    peaks[count] = peak[level, column]
                    onset[level, column] = -1
                    count += 1
    return runs[:count], peaks[:count]
