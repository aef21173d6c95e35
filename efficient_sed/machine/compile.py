"""Compiling loops with numba at their first call; the result is cached on disk where that is possible."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT, *, contracts: bool = False) -> FunctionT:
    """Compile a function, as a decorator. It runs without Python's global lock.

    Where neither the package's folder nor the user's cache can be written, each process compiles it again.

    Args:
        function: A loop over arrays and numbers.
        contracts: Whether a product and a sum may become one instruction, which rounds once and not twice.
    """
    compiler = functools.partial(njit, nogil=True, fastmath={"contract"} if contracts else False)
    try:
        return cast(FunctionT, compiler(cache=True)(function))
    except RuntimeError:  # numba found no folder for its cache
        return cast(FunctionT, compiler()(function))
