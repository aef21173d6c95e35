"""A fault of oneDNN: convolutions that hang in half precision on some CPUs."""

from __future__ import annotations

from collections.abc import Sequence

MAX_CHANNELS, MIN_KERNEL = 16, 15


def hangs_in_half_precision(groups: int, kernel_size: Sequence[int]) -> bool:
    """Whether oneDNN hangs on a depthwise convolution in half precision: 2 to 16 channels, a kernel of 15 or longer.

    Seen in bfloat16 and float16 with torch 2.11 (for channels_last) and OpenVINO 2026.4, on CPUs with AVX-512 BF16.
    Other CPUs only emulate these types.

    Args:
        groups: Of the convolution, as many as its channels.
        kernel_size: One length for each dimension.
    """
    return 1 < groups <= MAX_CHANNELS and max(kernel_size) >= MIN_KERNEL
