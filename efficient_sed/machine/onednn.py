"""Convolutions that never end in half precision on some CPUs."""

from __future__ import annotations

from collections.abc import Sequence

MOST_CHANNELS, LEAST_PLACES = 16, 15


def is_endless(groups: int, kernel_size: Sequence[int]) -> bool:
    """Whether oneDNN looks for a way without end: for a depthwise convolution of 2 to 16 channels with a kernel of 15 places or more.

    Seen in bfloat16 and float16 with torch 2.11 (for channels_last) and OpenVINO 2026.4 on CPUs with AVX-512 BF16; other CPUs only emulate these.
    """
    return 1 < groups <= MOST_CHANNELS and max(kernel_size) >= LEAST_PLACES
