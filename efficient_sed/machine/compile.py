"""How loops are compiled: at the first call, the result kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Decorator that compiles a function. Where neither the package's folder nor the user's cache can be written, each process compiles anew."""
    try:
        return cast(FunctionT, njit(cache=True)(function))
    except RuntimeError:  # numba found no folder for its cache
        return cast(FunctionT, njit(function))
