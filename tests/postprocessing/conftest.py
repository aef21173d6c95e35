"""All tests here run twice: as Python and NumPy go through few scores, and as compiled loops go through many."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from efficient_sed.machine import compile as loops


@pytest.fixture(scope="module", autouse=True, params=[math.inf, -1.0], ids=["plain", "compiled"])
def _most_plain_s(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "MOST_PLAIN_S", request.param)
        yield
