"""Class lists in logit order."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from efficient_sed.data.spelling import canonical, without_accents
from efficient_sed.errors import ConfigError, is_printable

NUM_AUDIOSET_STRONG, NUM_AUDIOSET_WEAK = 447, 527
EVALUATION_ONLY = {  # the classes that AudioSet Strong's evaluation set has and its training set has not
    "/m/01j3j8": "Studio recording", "/m/01jg1z": "Heart murmur", "/m/01jwx6": "Vibration", "/m/028v0c": "Silence",
    "/m/07hvw1": "Unmodified field recording",
    "/m/07p_0gm": "Throbbing", "/t/dd00098": "Source-ambiguous sounds", "/t/dd00129": "Outside, rural or natural",
    "/t/dd00133": "Specific impact sounds",
}  # fmt: skip


@cache
def audioset_labels(which: str) -> tuple[str, ...]:
    """Labels of AudioSet "strong" (447 classes of the strongly labelled training set) or "weak" (527)."""
    return tuple(row["label"] for row in _class_list(which))


@cache
def _class_list(which: str) -> tuple[Mapping[str, str], ...]:
    with (files("efficient_sed.data") / "class_lists" / f"audioset_{which}_classes.csv").open(encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


@cache
def audioset_evaluated_labels() -> tuple[str, ...]:
    """Those of the strong labels that occur in training and evaluation: the 407 that published means are taken over."""
    return tuple(row["label"] for row in _class_list("strong") if row["in_eval"] == "1")


@cache
def audioset_vocabulary(which: str) -> Mapping[str, str | None]:
    """Label by mid and by label; None for classes of AudioSet outside the list."""
    vocabulary: dict[str, str | None] = {}
    for row in _class_list(which):
        vocabulary[row["mid"]] = vocabulary[row["label"]] = row["label"]
    for row in [*_class_list("strong"), *_class_list("weak")]:
        vocabulary.setdefault(row["mid"], None)
        vocabulary.setdefault(row["label"], None)
    for name in (*EVALUATION_ONLY, *EVALUATION_ONLY.values()):
        vocabulary.setdefault(name, None)
    return vocabulary


def label_problem(labels: Sequence[object]) -> str | None:
    """What is wrong with a class list: a label that is no line of text, has blanks around it, or is there twice.

    Returns:
        None if nothing is wrong.
    """
    for label in labels:
        if not isinstance(label, str) or not label.strip() or not is_printable(label):
            return f"label {label!r} is not text on one line"
        if label != label.strip():
            return f"label {label!r} has blanks around it"
    twice = next((label for label, count in Counter(map(canonical, map(str, labels))).items() if count > 1), None)
    return None if twice is None else f"label {twice!r} is there twice"


def alike_problem(labels: Iterable[str]) -> str | None:
    """Which two labels are probably meant to be one; None if there are no such."""
    seen: dict[str, str] = {}
    for label in labels:
        if (other := seen.setdefault(without_accents(label), label)) != label:
            return f"the classes {other!r} and {label!r} differ only in case or accents"
    return None


def default_classes(num_classes: int) -> tuple[str, ...]:
    """Labels for a bare number of classes: AudioSet's where the number is theirs, else class_0, class_1, ...

    Raises:
        ConfigError: If the number is below 1.
    """
    if num_classes < 1:
        raise ConfigError(f"num_classes={num_classes} is not allowed: 1 or more")
    if num_classes == NUM_AUDIOSET_STRONG:
        return audioset_labels("strong")
    if num_classes == NUM_AUDIOSET_WEAK:
        return audioset_labels("weak")
    return tuple(f"class_{index}" for index in range(num_classes))


def warning_about(classes: Sequence[str]) -> str:
    """Warning that belongs to a model's results; empty for models of real sounds."""
    from efficient_sed.data.sounds import SOUND_CLASSES

    return (
        "Trained on generated sounds only: what it finds means nothing on real recordings."
        if set(classes) == set(SOUND_CLASSES)
        else ""
    )
