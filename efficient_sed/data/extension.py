"""A data set for a model that knows more classes: those of another one, and behind them the data set's new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from efficient_sed.data.events import Splits
from efficient_sed.data.spelling import without_accents
from efficient_sed.data.storage.columns import with_annotated
from efficient_sed.errors import DataError


def extended_classes(kept: Sequence[str], own: Sequence[str], name: str) -> tuple[str, ...]:
    """The classes of a model and behind them, sorted, those of a data set that it lacks.

    Args:
        kept: The model's classes.
        own: The data set's.
        name: The model's, for messages.

    Raises:
        DataError: If no class is new, or one differs from a kept one in case or accents alone.
    """
    known = {without_accents(label): label for label in kept}
    new = sorted(set(own) - set(kept))
    for label in new:
        if (other := known.get(without_accents(label))) is not None:
            both = f"label {label!r} of the data set and {other!r} of {name} differ in case or accents alone"
            raise DataError(f"{both}; write {other!r} in the annotations for that very class, or else another word")
    if not new:
        has = f"{name} has all {len(own)} classes of the data set"
        raise DataError(f"train.extend_classes=true: {has}, so there is no new one; train with data of new classes")
    return (*kept, *new)


def extend_splits(splits: Splits, classes: Sequence[str]) -> Splits:
    """A data set with a model's classes, of which its labels and metrics are about its own ones alone.

    Args:
        splits: The data set; it keeps its hash.
        classes: The model's, in logit order.

    Raises:
        DataError: If the model lacks one of the data set's.
    """
    if missing := sorted(set(splits.classes) - set(classes)):
        raise DataError(f"the model does not know {missing[0]!r} of the data set; train on this data set first")
    own = tuple(splits.classes)
    return dataclasses.replace(
        splits,
        classes=tuple(classes),
        train=with_annotated(splits.train, own),
        validation=with_annotated(splits.validation, own),
        test=with_annotated(splits.test, own),
        evaluated_classes=splits.evaluated_classes or own,
        known_hash=splits.manifest_hash,
    )
