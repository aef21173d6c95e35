"""`train.extend_classes`: the classes of a trained model, kept in front of those of a data set."""

from __future__ import annotations

import logging

from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.extension import extend_splits, extended_classes
from efficient_sed.models.sed import ModelSpec
from efficient_sed.models.weights.initial import initial_classes

logger = logging.getLogger(__name__)
MAX_NAMED = 5


def with_initial_classes(config: RunConfig, splits: Splits) -> Splits:
    """A run's data with all classes of its model: where they are extended, those of the initial model come first.

    Raises:
        CheckpointError: If the initial model cannot be read, or is another one.
        DataError: If no class is new, or one is nearly one of the initial model.
    """
    name = config.train.init_from
    if not config.train.extend_classes or name is None:
        return splits
    spec = ModelSpec(config.backbone, config.seq, splits.classes, config.classifier.pooling)
    kept = initial_classes(spec, name)
    classes = extended_classes(kept, splits.classes, name)
    shared = [label for label in splits.classes if label in kept]
    words = "%d classes of %s are kept, %d are new (%s)%s"
    also = f"; labels count for {len(shared)} of the kept ones, too ({_listed(shared)})" if shared else ""
    logger.info(words, len(kept), name, len(classes) - len(kept), _listed(classes[len(kept) :]), also)
    return extend_splits(splits, classes)


def _listed(labels: tuple[str, ...] | list[str]) -> str:
    return ", ".join(labels[:MAX_NAMED]) + (", …" if len(labels) > MAX_NAMED else "")
