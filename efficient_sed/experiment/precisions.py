"""One model as files of several precisions, each with what it scores on the user's data and costs on this machine."""

from __future__ import annotations

import copy
import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from efficient_sed.benchmark.alone import benchmark_alone
from efficient_sed.benchmark.clock import Pace, summarise, take_turns
from efficient_sed.benchmark.exported import PASSES, check_threads, one_clip
from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.result_file import exact_variant, main_score
from efficient_sed.experiment.score import own_data, score_part
from efficient_sed.export.built import BuiltFile, build_files
from efficient_sed.export.compared import Comparison, Deployed
from efficient_sed.export.plan import ALL, Attempts, make_plans
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import EXACT, InputKind
from efficient_sed.metrics.contracts import Score
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import ENGINES

logger = logging.getLogger(__name__)
SCORED_PART = "test"


class _Scored(NamedTuple):
    """A file in an engine before its speed is measured."""

    file: BuiltFile
    engine: str
    version: str
    metrics: dict[str, Any]
    alone: dict[str, Any]
    """What it costs in a process of its own."""
    run: Callable[[], object]


def export_precisions(
    model: SedModel,
    output: Path,
    model_name: str,
    targets: Sequence[str],
    precisions: Sequence[str],
    engines: Sequence[str],
    config: RunConfig,
    typed: Set[str],
    *,
    input_kind: InputKind | None = None,
    num_threads: int = 1,
    overwrite: bool = False,
) -> Comparison:
    """Write a file a format and precision, calibrated on the training part of a data set and scored on its test part.

    Args:
        model: The model.
        output: Of the file; of several each adds its precision and its format's ending, as `detector.int8.onnx`.
        model_name: What the metadata call the model.
        targets: Names in `EXPORT_TARGETS`, or "all" for those with an engine.
        precisions: Of those that the formats take, or "all"; then what cannot be had here is noted, not an error.
        engines: Names in `ENGINES`, or "all" for those that this machine runs; empty for each format's default. A file
            carries its score in the first one.
        config: Of it, the data set and how scores are made.
        typed: Keys of the configuration that are the user's own.
        input_kind: As for `export_model`.
        num_threads: Of an engine.
        overwrite: Replace files that are there.

    Raises:
        CheckpointError: As `export_model`; of several files those that were finished are kept.
        ConfigError: If there is no such precision or engine, or the data and the model do not go together.
        DataError: If the data cannot be read.
        MissingDependencyError: Without a package that a format or an engine needs.
    """
    check_threads(num_threads)
    attempts = Attempts(is_noted=ALL in precisions)
    plans = make_plans(model, output, targets, precisions, engines, attempts, overwrite=overwrite)
    config, splits = own_data(model, model_name, config, SCORED_PART, typed)
    model, config = (
        _as_scored(model, config),
        decoding_beside(config, [name for plan in plans for name in plan.engines]),
    )
    with tempfile.TemporaryDirectory() as folder:
        scored = [
            found
            for plan in plans
            for file in build_files(plan, model, model_name, input_kind, splits, config, attempts)
            for engine in plan.engines
            for found in _score(file, engine, Path(folder), num_threads, splits, config, attempts)
        ]
        if not any(item.file.header.precision == EXACT for item in scored):
            raise ConfigError(f"{model_name} is not exported: {'; '.join(attempts.notes)}")
        seconds = take_turns({index: item.run for index, item in enumerate(scored)}, PASSES)
    leading = main_score({"task": config.task, "metrics": scored[0].metrics})
    rows = [_row(item, leading, summarise(seconds[index])) for index, item in enumerate(scored)]
    scored_on = f"{config.data.name}, {SCORED_PART} part"
    for item in {id(item.file): item for item in reversed(scored)}.values():  # of each file the first engine
        _save(item, leading, scored_on, splits)
    return Comparison(model_name, leading.name, scored_on, num_threads, rows, attempts.notes)


def _as_scored(model: SedModel, config: RunConfig) -> SedModel:
    """The model with the window and the median filter of a configuration, which the user may have typed."""
    model = copy.deepcopy(model).cpu().float().eval()
    model.provenance = dataclasses.replace(
        model.provenance, clip_seconds=config.data.clip_seconds, median_frames=config.data.median_frames
    )
    return model


def decoding_beside(config: RunConfig, engines: Sequence[str]) -> RunConfig:
    """A configuration in which no process is forked where that may crash: after any of these engines was opened."""
    if all(ENGINES.get(engine).can_fork for engine in engines):
        return config
    return dataclasses.replace(config, data=dataclasses.replace(config.data, num_workers=0))


def _score(
    file: BuiltFile, engine: str, folder: Path, num_threads: int, splits: Splits, config: RunConfig, attempts: Attempts
) -> Iterator[_Scored]:
    """Score a file in an engine, and measure what it costs alone; nothing if it cannot be run."""
    path = folder / f"{file.target.name}.{file.header.precision}{file.target.suffix}"
    path.write_bytes(file.content)
    what = f"{file.target.name} {file.header.precision} in {engine}"
    with attempts.of(what):
        logger.info("scoring %s", what)
        alone = benchmark_alone(path, engine, num_threads)["complexity"]
        model = ExportedModel(path, num_threads, engine)
        metrics = score_part(model, splits, config, SCORED_PART)
        yield _Scored(file, engine, model.engine, metrics, alone, one_clip(model))


def _row(item: _Scored, leading: Score, pace: Pace) -> Deployed:
    return Deployed(
        item.file.target.name,
        item.file.header.precision,
        item.version,
        item.file.path,
        len(item.file.content),
        float(item.metrics[leading.key]),
        item.metrics.get("event_f1"),
        pace,
        item.alone["load_ms"],
        item.alone["peak_memory_mb"],
        ENGINES.get(item.engine).is_exact,
    )


def _save(item: _Scored, leading: Score, scored_on: str, splits: Splits) -> None:
    """Write a file that was asked for, with its score."""
    file = item.file
    if file.path is None:
        return
    header = dataclasses.replace(
        file.header,
        metric=leading.key,
        score=float(item.metrics[leading.key]),
        scored_on=scored_on,
        scored_by=item.engine,
        manifest_hash=splits.manifest_hash,
        conditions=exact_variant(item.metrics),
    )
    file.target.save(file.path, file.target.with_header(file.content, header), header)
