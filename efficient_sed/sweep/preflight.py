"""What can fail only later is tried before the first run of a grid starts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from efficient_sed.data.datamodule import stored_teacher
from efficient_sed.errors import require_package
from efficient_sed.experiment.run import check_same_data
from efficient_sed.metrics.psds.back_ends import require_back_end
from efficient_sed.models.sed import ModelSpec, SedModel, frame_grid
from efficient_sed.models.weights.initial import load_initial, load_initial_model
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.teachers.model import ModelConfig


def check_points(points: Sequence[GridPoint]) -> None:
    """Read (or make) each data set once, load all initial weights and the teachers, look for the packages.

    Raises:
        DataError, CheckpointError, MissingDependencyError: For the first thing that a run could not use.
    """
    detections = [point.config for point in points if point.config.task == "detection"]
    for back_end in sorted({config.evaluation.back_end for config in detections}):
        require_back_end(back_end)
    if detections:
        require_package("the plot", "matplotlib", "plot")
    by_data: dict[str, list[GridPoint]] = {}
    for point in points:
        by_data.setdefault(json.dumps(point.config.data.identity(), sort_keys=True), []).append(point)
    for backbone in dict.fromkeys(point.config.backbone for point in points):
        if backbone.init is not None:
            load_initial(backbone.build(), backbone)
    for same_data in by_data.values():
        splits = same_data[0].config.data.load()
        for grid in dict.fromkeys(frame_grid(point.config.backbone) for point in same_data):
            stored_teacher(same_data[0].config.data, splits, grid)
        for names, task, backbone in dict.fromkeys(
            (point.config.train.teacher, point.config.task, point.config.backbone) for point in same_data
        ):
            if names:
                ModelConfig(names, task).build(splits.classes, frame_grid(backbone))
        for start in dict.fromkeys(
            (point.config.backbone, point.config.seq, point.config.train.init_from)
            for point in same_data
            if point.config.train.init_from
        ):
            load_initial_model(SedModel(ModelSpec(start[0], start[1], splits.classes)), str(start[2]))
        for point in same_data:
            check_same_data(point.folder, splits)
