"""What can fail only later is tried before the first run of a grid starts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.stored_teacher import stored_teacher
from efficient_sed.errors import require_package
from efficient_sed.experiment.extend import with_initial_classes
from efficient_sed.experiment.result_file import RESULT_FILE
from efficient_sed.metrics.contracts import chosen_metrics
from efficient_sed.metrics.psds.back_ends import require_back_end
from efficient_sed.models.sed import ModelSpec, SedModel, frame_grid
from efficient_sed.models.weights.initial import initial_classes, load_initial, load_initial_model
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.teachers.model import ModelConfig
from efficient_sed.tuning.tables import check_candidates


def check_points(points: Sequence[GridPoint]) -> list[GridPoint]:
    """Read (or make) each data set once, load initial weights and teachers of unfinished runs, look for the packages.

    Returns:
        The points with the manifest hash of their data. Of several that are one training, because their data have
        the same content in two places, the first.

    Raises:
        DataError, CheckpointError, MissingDependencyError: For the first thing that a run could not use.
    """
    detections = [point.config for point in points if point.config.task == "detection"]
    for back_end in sorted({config.evaluation.back_end for config in detections}):
        require_back_end(back_end)
    for names in sorted({config.evaluation.metrics for config in detections}):
        chosen_metrics(names)
    for config in detections:
        check_candidates(config.evaluation)
    if detections:
        require_package("the plot", "matplotlib", "plot")
    for backbone in dict.fromkeys(point.config.backbone for point in points):
        if backbone.init is not None:
            load_initial(backbone.build(), backbone)
    hashed: dict[int, GridPoint] = {}
    for key in dict.fromkeys(map(_data_key, points)):
        same_data = {index: point for index, point in enumerate(points) if _data_key(point) == key}
        splits = next(iter(same_data.values())).config.data.load()
        found = {i: dataclasses.replace(point, manifest_hash=splits.manifest_hash) for i, point in same_data.items()}
        if unfinished := [point for point in found.values() if not (point.folder / RESULT_FILE).is_file()]:
            _check_models(unfinished, splits)
        hashed |= found
    in_order = [hashed[index] for index in range(len(points))]
    return list({point.signature: point for point in reversed(in_order)}.values())[::-1]


def _data_key(point: GridPoint) -> str:
    return json.dumps([point.config.data.name, point.config.data.identity()], sort_keys=True)


def _start_key(point: GridPoint) -> tuple[Any, ...]:
    config = point.config
    return config.backbone, config.seq, config.classifier, config.train.init_from, config.train.teachers, config.task


def _check_extended(config: RunConfig, splits: Splits) -> None:
    """Load the model whose classes are extended, and its teacher."""
    classes, start = with_initial_classes(config, splits).classes, str(config.train.init_from)
    model = SedModel(ModelSpec(config.backbone, config.seq, classes, config.classifier.pooling))
    load_initial_model(model, start, is_extended=True)
    if config.train.teachers:
        kept = initial_classes(model.spec, start)
        ModelConfig(config.train.teachers, config.task).build(kept, model.grid)


def _check_models(points: Sequence[GridPoint], splits: Splits) -> None:
    """Load what points on the same data start from or learn from."""
    first = points[0].config.data
    for grid in dict.fromkeys(frame_grid(point.config.backbone) for point in points):
        stored_teacher(first, splits, grid)
    extended = {_start_key(point): point.config for point in points if point.config.train.extend_classes}
    for config in extended.values():
        _check_extended(config, splits)
    points = [point for point in points if not point.config.train.extend_classes]
    teachers = dict.fromkeys((point.config.train.teacher, point.config.task, point.config.backbone) for point in points)
    for names, task, backbone in teachers:
        if names:
            ModelConfig(names, task).build(splits.classes, frame_grid(backbone))
    starts = {_start_key(point): point.config for point in points if point.config.train.init_from is not None}
    for config in starts.values():
        spec = ModelSpec(config.backbone, config.seq, splits.classes, config.classifier.pooling)
        load_initial_model(SedModel(spec), str(config.train.init_from))
