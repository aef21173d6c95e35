"""What is said of waveforms that a model does not take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from efficient_sed.audio.waveform_checks import check_waveform, wrong_samples
from efficient_sed.errors import ShapeError


def test_a_batch_is_taken() -> None:
    check_waveform(np.zeros((1, 100), np.float32), np.ndarray, 100, is_float=True)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((100,), "; x[None] is a batch of one clip"),
        ((1, 2, 100), "; x.mean(1) is the mean over channels"),
        ((0, 100), ""),
        ((1, 99), ""),
    ],
)
def test_shapes(shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(ShapeError) as caught:
        check_waveform(np.zeros(shape, np.float32), np.ndarray, 100, is_float=True)
    wanted = "waveform must have shape (batch, samples) with at least 100 samples"
    assert str(caught.value) == f"{wanted}, got {shape}{hint}"


@pytest.mark.parametrize(
    ("samples", "kind", "end"),
    [
        (np.zeros(3, np.float32), torch.Tensor, "got numpy.ndarray; give torch.from_numpy(x)"),
        (torch.zeros(3), np.ndarray, "got torch.Tensor; give x.cpu().numpy()"),
        (np.zeros(3, np.int16), np.ndarray, "got int16; scale them by x / 32768"),
        (torch.zeros(3, dtype=torch.uint8), torch.Tensor, "got uint8; scale them by (x - 128) / 128"),
        ([0.0], np.ndarray, "got list"),
    ],
)
def test_types(samples: Any, kind: type, end: str) -> None:
    error = wrong_samples("samples", samples, kind, "(samples,)")
    assert isinstance(error, TypeError)
    assert str(error).startswith("samples must be float32 in [-1, 1], a ")
    assert str(error).endswith(end)
