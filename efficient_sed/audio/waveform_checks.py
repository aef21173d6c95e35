"""Checks of waveforms before they are used. Without PyTorch, for models that run without it."""

from __future__ import annotations

from typing import Any

from efficient_sed.errors import ShapeError

FULL_SCALES = {"uint8": "(x - 128) / 128", "int16": "x / 32768", "int32": "x / 2147483648"}
"""How to scale samples of an integer type to [-1, 1]."""
MAX_PEAK = 32.0
"""Samples beyond it, 30 dB above full scale, are most likely integers stored as floating-point numbers."""
_CONVERSIONS = {"numpy.ndarray": "torch.from_numpy(x)", "torch.Tensor": "x.cpu().numpy()"}


def check_waveform(waveform: Any, kind: type, min_samples: int, *, is_float: bool) -> None:
    """Check that a waveform is what a model takes: floating-point samples, shape (batch, samples).

    Args:
        waveform: What the user gave.
        kind: The type it must have, `torch.Tensor` or `numpy.ndarray`.
        min_samples: Samples that each clip must have.
        is_float: Whether it has that type and holds floating-point numbers.

    Raises:
        TypeError: If it has another type, or its samples are integers.
        ShapeError: If it has another shape, no clips, or too few samples.
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
    """Create the error for samples of another type; it says which type is needed, and how to convert to it.

    Args:
        name: Of the argument.
        samples: What the user gave.
        kind: The type that is needed, `torch.Tensor` or `numpy.ndarray`.
        shape: The shape that is needed.
    """
    given = _name_of(type(samples))
    hint = f"; give {_CONVERSIONS[given]}" if given in _CONVERSIONS else ""
    if isinstance(samples, kind):
        given = str(getattr(samples, "dtype", "")).removeprefix("torch.")
        hint = f"; scale them by {FULL_SCALES[given]}" if given in FULL_SCALES else ""
    return TypeError(f"{name} must be float32 in [-1, 1], a {_name_of(kind)} of shape {shape}, got {given}{hint}")


def _name_of(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}.{kind.__name__}".removeprefix("builtins.")
