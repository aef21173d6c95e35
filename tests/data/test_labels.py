"""Class lists: AudioSet's own, bare numbers, and lists that cannot be one."""

from __future__ import annotations

import pytest

from efficient_sed.data.labels import (
    audioset_evaluated_labels,
    audioset_labels,
    audioset_vocabulary,
    default_classes,
    label_problem,
    warning_about,
)
from efficient_sed.data.sounds import SOUND_CLASSES
from efficient_sed.errors import ConfigError


def test_audioset_lists() -> None:
    strong, weak = audioset_labels("strong"), audioset_labels("weak")
    assert (len(strong), len(weak), len(audioset_evaluated_labels())) == (447, 527, 407)
    assert set(audioset_evaluated_labels()) < set(strong)
    assert label_problem(strong) is None
    assert label_problem(weak) is None


@pytest.mark.parametrize("which", ["strong", "weak"])
def test_the_vocabulary_names_each_label_twice(which: str) -> None:
    vocabulary = audioset_vocabulary(which)
    labels = audioset_labels(which)
    assert {vocabulary[label] for label in labels} == set(labels)
    assert sum(value is not None for value in vocabulary.values()) == 2 * len(labels)  # by mid and by label
    assert (vocabulary["Silence"] is None) is (which == "strong")  # evaluated in the strong set, never trained on


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([], None),
        (["a", "B b", "é"], None),
        (["a", "a"], "label 'a' is there twice"),
        (["\u00e9", "e\u0301"], "label 'é' is there twice"),
        ([" a"], "label ' a' has blanks around it"),
        (["a\nb"], r"label 'a\nb' is not text on one line"),
        ([""], "label '' is not text on one line"),
        ([3], "label 3 is not text on one line"),
    ],
)
def test_lists_that_are_none(labels: list[object], problem: str | None) -> None:
    assert label_problem(labels) == problem


def test_bare_numbers() -> None:
    assert default_classes(2) == ("class_0", "class_1")
    assert default_classes(447) == audioset_labels("strong")
    with pytest.raises(ConfigError, match="num_classes=0 is not allowed"):
        default_classes(0)


def test_models_of_generated_sounds_are_warned_of() -> None:
    assert "generated sounds only" in warning_about(list(SOUND_CLASSES))
    assert warning_about(["dog"]) == ""
