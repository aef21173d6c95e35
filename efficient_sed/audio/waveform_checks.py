"""What samples must be before anything computes with them. Without PyTorch, for models that run without it."""

from __future__ import annotations

from typing import Any

from efficient_sed.errors import ShapeError

FULL_SCALES = {"uint8": "(x - 128) / 128", "int16": "x / 32768", "int32": "x / 2147483648"}
"""How samples of an integer type become fractions."""
MAX_PEAK = 32.0
"""Samples beyond it, 30 dB above full scale, are no fractions: most likely whole numbers of a floating-point type."""
_CONVERSIONS = {"numpy.ndarray": "torch.from_numpy(x)", "torch.Tensor": "x.cpu().numpy()"}


def check_waveform(waveform: Any, kind: type, min_samples: int, *, is_float: bool) -> None:
    """Raise unless it is what a model takes: floating-point samples, shape (batch, samples).

    Args:
        waveform: Anything.
        kind: The type it must have, `torch.Tensor` or `numpy.ndarray`.
        min_samples: What a clip must have.
        is_float: Whether it has that type, with floating-point numbers.

    Raises:
        TypeError: If it has another type, or its samples are whole numbers.
        ShapeError: If it has another shape, no clip, or too few samples.
    """
    if is_float and waveform.ndim == 2 and waveform.shape[0] > 0 and waveform.shape[1] >= min_samples:
        return
    if not is_float:
        raise wrong_samples("waveform", waveform, kind, "(batch, samples)")
    shape = tuple(waveform.shape)
    hints = {1: "; x[None] is a batch of one clip", 3: "; x.mean(1) is the mean over channels"}
    wanted = f"waveform must have shape (batch, samples) with at least {min_samples} samples"
    raise ShapeError(f"{wanted}, got {shape}{hints.get(len(shape), '')}")


def wrong_samples(name: str, samples: Any, kind: type, shape: str) -> TypeError:
    """The error for samples of another type; it says which is wanted, and how to get there."""
    given = _name_of(type(samples))
    hint = f"; give {_CONVERSIONS[given]}" if given in _CONVERSIONS else ""
    if isinstance(samples, kind):
        given = str(getattr(samples, "dtype", "")).removeprefix("torch.")
        hint = f"; scale them by {FULL_SCALES[given]}" if given in FULL_SCALES else ""
    return TypeError(f"{name} must be float32 in [-1, 1], a {_name_of(kind)} of shape {shape}, got {given}{hint}")


def _name_of(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}.{kind.__name__}".removeprefix("builtins.")
