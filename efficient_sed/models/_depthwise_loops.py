"""Loops for `depthwise.weight_gradient`, compiled by numba."""

from __future__ import annotations

import functools

import numpy as np

from efficient_sed.machine.compile import compiled


@functools.partial(compiled, contracts=True)
def _accumulate_edge(
    x: np.ndarray, gradient: np.ndarray, sums: np.ndarray, first: int, last: int, stride: int, padding: int
) -> None:
    """Positions of a row of which some taps lie outside."""
    for position in range(first, last):
        for tap in range(len(sums)):
            at = position * stride - padding + tap
            if 0 <= at < len(x):
                for c in range(x.shape[1]):
                    sums[tap, c] += gradient[position, c] * x[at, c]


@functools.partial(compiled, contracts=True)
def _accumulate_row(
    x: np.ndarray, gradient: np.ndarray, sums: np.ndarray, taps: tuple[int, ...], stride: int, padding: int
) -> None:
    """Add the products of a row of the input, (width, channels), and one of the output's gradient to one of the taps.

    The number of taps is part of the type of a tuple, and so a constant for the compiler.
    """
    first = min((padding + stride - 1) // stride, len(gradient))
    last = max(first, min((len(x) - len(taps) + padding) // stride + 1, len(gradient)))
    fours = (last - first) // 4 if stride == 1 else 0
    _accumulate_edge(x, gradient, sums, 0, first, stride, padding)
    for four in range(fours):  # four positions share what is loaded
        at = first + 4 * four
        w = at - padding
        for c in range(x.shape[1]):
            g0, g1, g2, g3 = gradient[at, c], gradient[at + 1, c], gradient[at + 2, c], gradient[at + 3, c]
            for tap in range(len(taps)):
                sums[tap, c] += (
                    g0 * x[w + tap, c] + g1 * x[w + tap + 1, c] + g2 * x[w + tap + 2, c] + g3 * x[w + tap + 3, c]
                )
    for at in range(first + 4 * fours, last):
        w = at * stride - padding
        for c in range(x.shape[1]):
            for tap in range(len(taps)):
                sums[tap, c] += gradient[at, c] * x[w + tap, c]
    _accumulate_edge(x, gradient, sums, last, len(gradient), stride, padding)


@functools.partial(compiled, contracts=True)
def accumulate(
    x: np.ndarray,
    gradient: np.ndarray,
    sums: np.ndarray,
    taps: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> None:
    """Add the products of a few clips, (clips, height, width, channels), to `sums`, (kernel, kernel, channels)."""
    for clip in range(len(x)):
        for row in range(gradient.shape[1]):
            for tap_row in range(len(taps)):
                at = row * stride[0] - padding[0] + tap_row
                if 0 <= at < x.shape[1]:
                    _accumulate_row(x[clip, at], gradient[clip, row], sums[tap_row], taps, stride[1], padding[1])
