"""Post-processing of scores that come in consecutive pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from efficient_sed.postprocessing.median import smooth_scores


def smooth_stream(pieces: Iterable[np.ndarray], median_frames: int) -> Iterator[np.ndarray]:
    """`smooth_scores` of consecutive pieces, equal to smoothing them joined together, holding back half a window."""
    half = median_frames // 2
    before: np.ndarray | None = None  # frames already given out that the next ones need
    pending: np.ndarray | None = None  # frames that still lack their right context
    for piece in pieces:
        pending = piece if pending is None else np.concatenate([pending, piece])
        count = len(pending) - half
        if count <= 0:
            continue
        context = pending if before is None else np.concatenate([before, pending])
        offset = len(context) - len(pending)
        yield smooth_scores(context, median_frames)[offset : offset + count]
        before, pending = context[max(0, offset + count - half) : offset + count], pending[count:]
    if pending is not None:
        context = pending if before is None else np.concatenate([before, pending])
        yield smooth_scores(context, median_frames)[len(context) - len(pending) :]
