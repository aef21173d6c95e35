"""Thresholds of each class, from what a user types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.data.labels import audioset_labels
from efficient_sed.errors import ConfigError
from efficient_sed.postprocessing.thresholds import AUTO, class_thresholds, parse_thresholds

CLASSES = ["bell", "chicken", "Child speech, kid speaking", "a=0.3,b", "a", "Glocke für Kühe"]


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        (AUTO, [None] * 6),
        (0.3, [0.3] * 6),
        ({"bell": 0.25}, [0.25, None, None, None, None, None]),
        ({"bell": 0.25, "default": 0.5}, [0.25, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ("chicken=0.3,bell=.4,default=0.5", [0.4, 0.3, 0.5, 0.5, 0.5, 0.5]),
        ("Child speech, kid speaking=0.1, a=0.2", [None, None, 0.1, None, 0.2, None]),
        ("a=0.3,b=0.4", [None, None, None, 0.4, None, None]),  # the longest label that fits
        ("Glocke fu\u0308r Ku\u0308he=0.2", [None] * 5 + [0.2]),  # as some keyboards type it
    ],
)
def test_thresholds_of_all_classes(given_as: Any, expected: list[float | None]) -> None:
    assert class_thresholds(given_as, CLASSES) == tuple(expected)


@given(st.dictionaries(st.sampled_from(audioset_labels("strong")), st.floats(0.001, 0.999), min_size=1, max_size=9))
def test_labels_with_commas_are_read_again(thresholds: dict[str, float]) -> None:
    text = ",".join(f"{label}={value!r}" for label, value in thresholds.items())
    assert parse_thresholds(text, audioset_labels("strong")) == thresholds


@pytest.mark.parametrize(
    ("given_as", "message"),
    [
        ("chiken=0.3", "threshold=chiken=0.3 is not allowed: no such class; did you mean 'chicken'? allowed: "),
        ({"bel": 0.3}, "threshold=bel=0.3 is not allowed: no such class; did you mean 'bell'? allowed: "),
        ("bell=loud,a=0.1", "threshold=bell=loud is not allowed: a probability between 0 and 1, both excluded"),
        ("bell=1", "threshold=bell=1.0 is not allowed: a probability"),
        ({"bell": True}, "threshold=bell=True is not allowed: a probability"),
        ("bell=0.1,bell=0.2", "threshold=bell=0.1,bell=0.2 is not allowed: each class once, and bell is there twice"),
        ("bell=0.1,", "threshold=bell=0.1, is not allowed: LABEL=THRESHOLD behind each comma"),
        ("bell=0.1,0.5", "threshold=0.5 is not allowed: LABEL=THRESHOLD, joined by commas"),
        ("loud", "threshold=loud is not allowed: a probability between 0 and 1, both excluded; auto; or some by label"),
        (float("nan"), "threshold=nan is not allowed: "),
        (None, "threshold=None is not allowed: "),
        ([0.5], "threshold=[0.5] is not allowed: "),
    ],
)
def test_what_is_refused(given_as: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        class_thresholds(given_as, CLASSES)
    assert str(caught.value).startswith(message)
