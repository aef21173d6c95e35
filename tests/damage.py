"""Files that are damaged amid their content: their headers, begins and ends are whole."""

from __future__ import annotations

import io

import numpy as np
import soundfile


def spoil(content: bytes, num_bytes: int = 400) -> bytes:
    """The same file with other bytes in its middle."""
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(255 - byte for byte in content[middle : middle + num_bytes])
        + content[middle + num_bytes :]
    )


def spoiled_flac(seconds: float, rate: int = 16_000) -> bytes:
    """FLAC of noise that tells its length and cannot be decoded."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).normal(size=round(seconds * rate)) * 0.1, rate, format="FLAC")
    return spoil(file.getvalue())
