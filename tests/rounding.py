"""Float32 against float64: how far rounding may take a result from the exact one on the CPU that runs the test."""

from __future__ import annotations

from typing import Any

import torch

TIMES = 5.0  # two orders of the same sums
LEAST = 16 * torch.finfo(torch.float32).eps  # of the largest value: where the plain form happens to round to nothing


def error(given: Any, exact: Any) -> float:
    """Largest difference, relative to the largest exact value."""
    given, exact = (torch.as_tensor(each).detach().double() for each in (given, exact))
    assert given.shape == exact.shape
    return float((given - exact).abs().max() / exact.abs().max())


def allowed(plain: Any, exact: Any) -> float:
    """Largest error that rounding explains, given that of the plain form in float32."""
    return TIMES * max(error(plain, exact), LEAST)


def assert_rounds_like(plain: Any, given: Any, exact: Any) -> None:
    """`given` is as near to the float64 reference as the plain form in float32 is.

    Args:
        plain: The reference form in float32, a tensor or an array.
        given: What is tested, in float32.
        exact: The reference form in float64.
    """
    found, limit = error(given, exact), allowed(plain, exact)
    assert found <= limit, f"{found:.2e} from float64, where rounding explains {limit:.2e}"
