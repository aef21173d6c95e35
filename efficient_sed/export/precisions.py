"""One model as files of several precisions, each kept only with what it scores on the user's data and what it costs on this machine."""

from __future__ import annotations

import copy
import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from efficient_sed.benchmark.exported import Pace, check_threads, one_clip, take_turns
from efficient_sed.config.schema import RunConfig
from efficient_sed.data.dataset import EvaluationWindows, collate
from efficient_sed.data.events import Splits
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.result_file import exact_variant, main_score
from efficient_sed.experiment.run import own_data, score_part
from efficient_sed.export.onnx import build_onnx, check_target, keep_file, with_header
from efficient_sed.export.quantise import NO_MATRIX, quantise
from efficient_sed.export.recipes import RECIPES, check_precision
from efficient_sed.inference.engines import ENGINES, open_engine
from efficient_sed.inference.evaluate import handle_unreadable
from efficient_sed.inference.header import EXACT
from efficient_sed.inference.onnx_model import OnnxModel
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
CALIBRATION_CLIPS = 64
SCORED_PART = "test"


class Deployed(NamedTuple):
    """A precision in an engine."""

    precision: str
    engine: str
    """With its version."""
    path: Path | None
    """The file that was written; none of the exact one that others are compared with, if it was not asked for."""
    num_bytes: int
    score: float
    pace: Pace


class Comparison(NamedTuple):
    """All that was measured, the exact file in the first engine first."""

    model_name: str
    metric: str
    """Name of the score."""
    data: str
    """What was scored, such as "synthetic, test part"."""
    num_threads: int
    rows: list[Deployed]

    @property
    def paths(self) -> list[Path]:
        """Files that were written."""
        return list(dict.fromkeys(row.path for row in self.rows if row.path is not None))


def export_precisions(
    model: SedModel,
    path: Path,
    model_name: str,
    precisions: Sequence[str],
    engines: Sequence[str],
    config: RunConfig,
    typed: Set[str],
    *,
    num_threads: int = 1,
    overwrite: bool = False,
) -> Comparison:
    """Write a file a precision, calibrated on the training part of the configured data and scored on its test part, and compare them with the exact one.

    Args:
        path: Of the file; with several precisions each adds its name, as in `detector.int8.onnx`.
        precisions: Of `efficient_sed.export.recipes.RECIPES`.
        engines: Of `efficient_sed.inference.engines.ENGINES`; a file carries its score in the first one.
        config: Of it, the data set and how scores are made.
        typed: Keys of the configuration that are the user's own.

    Raises:
        CheckpointError: As `export_onnx`; of several files those that were finished are kept.
        ConfigError: If there is no such precision or engine, or the data and the model do not go together.
        DataError: If the data cannot be read.
        MissingDependencyError: Without a package that an engine needs.
    """
    paths = {
        precision: path if len(precisions) == 1 else path.with_name(f"{path.stem}.{precision}{path.suffix}")
        for precision in precisions
    }
    engines = list(dict.fromkeys(engines))
    _check(model, paths, engines, num_threads, overwrite=overwrite)
    config, splits = own_data(model, model_name, config, SCORED_PART, typed)
    model = copy.copy(model)  # as it is scored: with the window and filter that were typed
    model.provenance = dataclasses.replace(
        model.provenance, clip_seconds=config.data.clip_seconds, median_frames=config.data.median_frames
    )
    header, exact, _ = build_onnx(model, model_name)
    metric, title, conditions = "", "", ""
    rows: list[Deployed] = []
    with tempfile.TemporaryDirectory() as name:
        folder, data, runs = Path(name), {}, {}
        for precision in dict.fromkeys([EXACT, *precisions]):
            data[precision] = with_header(
                quantise(exact, precision, _clips(model, splits, config), header.input),
                dataclasses.replace(header, precision=precision),
            )
            file = folder / f"{precision}.onnx"
            file.write_bytes(data[precision])
            for engine in engines:
                logger.info("scoring %s in %s", precision, engine)
                metrics = score_part(OnnxModel(file, num_threads, engine), splits, config, SCORED_PART)
                metric, title = main_score({"task": config.task, "metrics": metrics})
                conditions = exact_variant(metrics)
                opened = open_engine(file, num_threads, engine)
                runs[f"{precision} {engine}"] = one_clip(opened, header)
                rows.append(
                    Deployed(
                        precision,
                        opened.version,
                        paths.get(precision),
                        len(data[precision]),
                        float(metrics[metric]),
                        Pace(0, 0, 0, (0, 0)),
                    )
                )
        rows = [row._replace(pace=pace) for row, pace in zip(rows, take_turns(runs).values(), strict=True)]
    scored_on = f"{config.data.name}, {SCORED_PART} part"
    scored = dataclasses.replace(
        header,
        metric=metric,
        scored_on=scored_on,
        scored_by=engines[0],
        manifest_hash=splits.manifest_hash,
        conditions=conditions,
    )
    for row in rows[:: len(engines)]:
        if row.path is not None:
            keep_file(
                row.path,
                with_header(data[row.precision], dataclasses.replace(scored, precision=row.precision, score=row.score)),
            )
    return Comparison(model_name, title, scored_on, num_threads, rows)


def _check(
    model: SedModel, paths: dict[str, Path], engines: Sequence[str], num_threads: int, *, overwrite: bool
) -> None:
    """Raise now what would be raised at the end."""
    has_matrix = any(isinstance(layer, nn.Linear) for layer in model.sequence.modules())
    for precision, path in paths.items():
        check_precision(precision)
        if RECIPES[precision].dynamic and not has_matrix:
            raise ConfigError(NO_MATRIX)
        check_target(path, overwrite=overwrite)
    for engine in engines:
        if engine not in ENGINES:
            raise ConfigError(f"no engine {engine!r}; {nearest(engine, ENGINES)}")
    check_threads(num_threads)


def _clips(model: SedModel, splits: Splits, config: RunConfig) -> Iterator[np.ndarray]:
    """Waveforms (1, samples) from all over the training part."""
    windows = EvaluationWindows(splits.train, splits.classes, model.grid, config.data.clip_seconds)
    unreadable: list[str] = []
    for index in (
        np.unique(np.linspace(0, len(windows) - 1, CALIBRATION_CLIPS).round().astype(int)) if len(windows) else ()
    ):
        batch = collate([windows[int(index)]])
        handle_unreadable(batch, config.data.on_error, unreadable)
        yield from batch.waveform[:, None].numpy()
    for message in unreadable:
        logger.warning("not calibrated with: %s", message)
