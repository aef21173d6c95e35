"""Post-processing of scores that come in consecutive pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from efficient_sed.postprocessing.contract import Chain

FILE_CONTEXT_S = 60.0
"""Seconds on either side of a frame that methods without a bound see in a file."""
LIVE_CONTEXT_S = 5.0
"""The same in sound that is still going on, where they make an event wait."""
LIVE_PAST_S = 30.0
"""The same before a frame, where nothing waits."""


def smooth_stream(
    pieces: Iterable[np.ndarray], chain: Chain, hop_s: float, context_s: float = 0.0, past_s: float = 0.0
) -> Iterator[np.ndarray]:
    """`chain.apply` of consecutive pieces, each frame given out once what it waits for has followed.

    Equal to applying the chain to the pieces joined together; where a step has no bound, as far as its events, with the
    gaps and neighbours that decide on them, lie within the context on either side.

    Args:
        pieces: Scores (frames, classes).
        chain: Methods.
        hop_s: Seconds of a frame.
        context_s: Seconds that a chain without a bound sees on either side of a frame, if more than its look-ahead.
        past_s: Seconds that it sees before a frame, if more than that.
    """
    extent_s = chain.look_ahead_s(hop_s) if chain.is_bounded else max(chain.look_ahead_s(hop_s), context_s)
    extent, past = (
        int(np.ceil(round(seconds / hop_s, 6)))
        for seconds in (extent_s, extent_s if chain.is_bounded else max(extent_s, past_s))
    )
    seen: np.ndarray | None = None  # frames that are not given out yet, and before them those that these need
    given = 0  # how many are before
    for piece in pieces:
        seen = piece if seen is None else np.concatenate([seen, piece])
        until = len(seen) - extent
        if until > given:
            yield chain.apply(seen, hop_s)[given:until]
            start = max(0, until - past)
            seen, given = seen[start:], until - start
    if seen is not None:
        yield chain.apply(seen, hop_s)[given:]
