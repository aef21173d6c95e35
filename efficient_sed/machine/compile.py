"""Loops that numba compiles, some of them only when there is enough to do: numba takes most of a second to start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

MOST_PLAIN_S = 0.3
"""Seconds that Python may take in a process before loops are compiled; compiling and loading take about twice that."""
_plain_s = 0.0


def compiled(function: FunctionT, *, contracts: bool = False) -> FunctionT:
    """Compile a function at its first call, as a decorator. It runs without Python's global lock.

    The result is cached on disk. Where neither the package's folder nor the user's cache can be written, each process
    compiles it again.

    Args:
        function: A loop over arrays and numbers.
        contracts: Whether a product and a sum may become one instruction, which rounds once and not twice.
    """
    from numba import njit

    compiler = functools.partial(njit, nogil=True, fastmath={"contract"} if contracts else False)
    try:
        return cast(FunctionT, compiler(cache=True)(function))
    except RuntimeError:  # numba found no folder for its cache
        return cast(FunctionT, compiler()(function))


def is_worth_compiling(plain_s: float) -> bool:
    """Whether loops are to be compiled.

    Args:
        plain_s: Seconds that Python or NumPy would take for what comes now, roughly; they add up over calls.
    """
    global _plain_s  # noqa: PLW0603 (one of a process, as numba's start is)
    _plain_s += plain_s
    return _plain_s > MOST_PLAIN_S


class CompiledLater(Generic[P, R]):
    """A function that Python runs, with the same result, until `is_worth_compiling`; used as a decorator."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.plain = function

    @functools.cached_property
    def compiled(self) -> Callable[P, R]:
        """The same, compiled."""
        return compiled(self.plain)

    @property
    def _numba_type_(self) -> Any:
        """What numba takes this for inside other compiled functions."""
        return cast(Any, self.compiled)._numba_type_

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> R:
        """The function's result."""
        return (self.compiled if is_worth_compiling(0) else self.plain)(*arguments, **options)
