"""Compiling loops with numba at their first call; the result is cached on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Compile a function, as a decorator.

    Where neither the package's folder nor the user's cache can be written, each process compiles it again.
    """
    try:
        return cast(FunctionT, njit(cache=True)(function))
    except RuntimeError:  # numba found no folder for its cache
        return cast(FunctionT, njit(function))
