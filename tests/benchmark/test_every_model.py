"""The list of all models that have a cost."""

from __future__ import annotations

import pytest

from efficient_sed.benchmark.every_model import every_model
from efficient_sed.errors import ConfigError


def test_the_cheapest_first_and_none_twice() -> None:
    rows = every_model(["fmn04*", "mn01*", "fmn04+tf*"])
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names) > 20
    assert [row["macs"] for row in rows] == sorted(row["macs"] for row in rows)
    assert {"fmn04_strong", "fmn04+tf-128_synthetic", "mn01_as_mAP_298", "fmn04+gru-256"} <= set(names)
    assert "fmn04" not in names  # what fmn04_strong is
    assert "mn01_im" not in names  # a backbone alone


def test_a_pattern_that_nothing_matches() -> None:
    with pytest.raises(ConfigError, match=r"no released or composable model matches 'fmn03\*'; the nearest: fmn"):
        every_model(["fmn03*"])
