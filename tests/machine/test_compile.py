"""Loops compile where nothing can be kept on disk, too; some only when there is enough to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import pytest

from efficient_sed.machine import compile as loops


def test_no_place_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_cache(function: Callable[..., Any] | None = None, *, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    monkeypatch.setattr(numba, "njit", without_cache)

    @loops.compiled
    def double(value: int) -> int:
        return 2 * value

    assert double(21) == 42


def test_python_runs_what_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_plain_s", 0.0)

    @loops.CompiledLater
    def double(value: int) -> int:
        return 2 * value

    assert not loops.is_worth_compiling(loops.MOST_PLAIN_S / 2)
    assert double(21) == 42
    assert "compiled" not in vars(double)
    assert loops.is_worth_compiling(loops.MOST_PLAIN_S)
    assert double(21) == 42
    assert vars(double)["compiled"].signatures
