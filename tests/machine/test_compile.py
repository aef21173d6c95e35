"""Loops compile where nothing can be kept on disk, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from efficient_sed.machine import compile as numba


def test_no_place_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_cache(function: Callable[..., Any] | None = None, *, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    monkeypatch.setattr(numba, "njit", without_cache)

    @numba.compiled
    def double(value: int) -> int:
        return 2 * value

    assert double(21) == 42
