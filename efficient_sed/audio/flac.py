"""Sound as FLAC in memory."""

from __future__ import annotations

import io

import numpy as np


def encode_flac(samples: np.ndarray, sample_rate: int) -> bytes:
    """Encode sound as FLAC of 16 bits.

    In memory, since libsndfile does not report a full disk as an OSError.

    Args:
        samples: Shape (samples,), in [-1, 1].
        sample_rate: In Hz.
    """
    import soundfile

    encoded = io.BytesIO()
    soundfile.write(encoded, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()
