"""Float32 that is computed as float32."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 without rounding to TF32 or bfloat16; PyTorch's switches are restored afterwards."""
    backends = torch.backends
    names = [
        (backends.cudnn, "conv"),
        (backends.cudnn, "rnn"),
        *((backends.mkldnn, part) for part in ("matmul", "conv", "rnn")),
    ]
    parts = [
        backends.cuda.matmul,
        *(getattr(library, part, None) for library, part in names),
    ]  # the names since torch 2.9
    old, new = (backends.cudnn, "allow_tf32"), [(part, "fp32_precision") for part in parts]
    before: list[tuple[Any, str, Any]] = []
    precision = None
    with contextlib.suppress(RuntimeError):  # an old name cannot be read where the new one was used
        precision = torch.get_float32_matmul_precision()
    for switch, name in [old, *new]:
        with contextlib.suppress(AttributeError, RuntimeError):
            before.append((switch, name, getattr(switch, name)))
    exact = [(*old, False), *((switch, name, "ieee") for switch, name, _ in before if (switch, name) != old)]
    try:
        _set("highest", exact)  # the old names alone leave a global "tf32" in force
        yield
    finally:
        _set(precision, before)


def _set(precision: str | None, switches: Sequence[tuple[Any, str, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old names, the only ones that every version of PyTorch has
        if precision is not None:
            torch.set_float32_matmul_precision(precision)
        for switch, name, value in switches:
            setattr(switch, name, value)
