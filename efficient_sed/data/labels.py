"""Class lists in logit order."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from efficient_sed.errors import ConfigError

NUM_AUDIOSET_STRONG, NUM_AUDIOSET_WEAK = 447, 527


@cache
def audioset_labels(which: str) -> tuple[str, ...]:
    """Labels of AudioSet "strong" (447 classes of the strongly labelled training set) or "weak" (527)."""
    with (files("efficient_sed.data") / "class_lists" / f"audioset_{which}_classes.csv").open(encoding="utf-8") as file:
        return tuple(row["label"] for row in csv.DictReader(file))


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
