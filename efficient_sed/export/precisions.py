"""One model as files of several precisions, each with what it scores on the user's data and costs on this machine."""

from __future__ import annotations

import copy
import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.benchmark.clock import Pace, summarise, take_turns
from efficient_sed.benchmark.exported import PASSES, check_threads, one_clip
from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import EvaluationWindows, collate
from efficient_sed.data.events import Splits
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.result_file import exact_variant, main_score
from efficient_sed.experiment.score import own_data, score_part
from efficient_sed.export.check import as_input, run_self_test
from efficient_sed.export.contract import ExportTarget
from efficient_sed.export.write import build_file, create_target
from efficient_sed.inference.evaluate import handle_unreadable
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import EXACT, Header, InputKind
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import ENGINES

logger = logging.getLogger(__name__)
CALIBRATION_CLIPS = 64
SCORED_PART = "test"


class Deployed(NamedTuple):
    """A precision in an engine."""

    precision: str
    engine: str
    """With its version."""
    path: Path | None
    """The file that was written; None of the float32 one that others are compared with, if it was not asked for."""
    num_bytes: int
    score: float
    pace: Pace


class Comparison(NamedTuple):
    """All that was measured, the float32 file in the first engine first."""

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


class _Scored(NamedTuple):
    """A precision in an engine before its speed is measured."""

    precision: str
    engine: str
    version: str
    metrics: dict[str, object]
    run: Callable[[], object]


def export_precisions(
    model: SedModel,
    path: Path,
    model_name: str,
    precisions: Sequence[str],
    engines: Sequence[str],
    config: RunConfig,
    typed: Set[str],
    *,
    target: str = "onnx",
    input_kind: InputKind | None = None,
    num_threads: int = 1,
    overwrite: bool = False,
) -> Comparison:
    """Write a file a precision, calibrated on the training part of a data set and scored on its test part.

    Args:
        model: The model.
        path: Of the file; with several precisions each adds its name, as in `detector.int8.onnx`.
        precisions: Of those that the target takes.
        model_name: What the metadata call the model.
        engines: Names in `ENGINES`; a file carries its score in the first one.
        config: Of it, the data set and how scores are made.
        typed: Keys of the configuration that are the user's own.
        target: Name in `EXPORT_TARGETS`.
        input_kind: As for `export_model`.
        num_threads: Of an engine.
        overwrite: Replace files that are there.

    Raises:
        CheckpointError: As `export_model`; of several files those that were finished are kept.
        ConfigError: If there is no such precision or engine, or the data and the model do not go together.
        DataError: If the data cannot be read.
        MissingDependencyError: Without a package that an engine needs.
    """
    chosen = create_target(target)
    paths = {
        precision: path if len(precisions) == 1 else path.with_name(f"{path.stem}.{precision}{path.suffix}")
        for precision in precisions
    }
    engines = list(dict.fromkeys(engines))
    _check(model, chosen, paths, engines, num_threads, overwrite=overwrite)
    config, splits = own_data(model, model_name, config, SCORED_PART, typed)
    model = _as_scored(model, config)
    header, exact, _ = build_file(model, model_name, chosen, input_kind)
    files = {
        precision: _in_precision(chosen, model, exact, precision, _clips(model, splits, config, header), header)
        for precision in dict.fromkeys([EXACT, *precisions])
    }
    with tempfile.TemporaryDirectory() as folder:
        scored = [
            scored
            for precision, (content, _) in files.items()
            for scored in _score(content, precision, Path(folder), chosen, engines, num_threads, splits, config)
        ]
        seconds = take_turns({(item.precision, item.engine): item.run for item in scored}, PASSES)
    leading = main_score({"task": config.task, "metrics": scored[-1].metrics})
    rows = [
        Deployed(
            item.precision,
            item.version,
            paths.get(item.precision),
            len(files[item.precision][0]),
            float(str(item.metrics[leading.key])),
            summarise(seconds[item.precision, item.engine]),
        )
        for item in scored
    ]
    scored_on = f"{config.data.name}, {SCORED_PART} part"
    for item, row in list(zip(scored, rows, strict=True))[:: len(engines)]:
        if row.path is not None:
            content, own_header = files[row.precision]
            own_header = dataclasses.replace(
                own_header,
                metric=leading.key,
                score=row.score,
                scored_on=scored_on,
                scored_by=item.engine,
                manifest_hash=splits.manifest_hash,
                conditions=exact_variant(item.metrics),
            )
            chosen.save(row.path, chosen.with_header(content, own_header), own_header)
    return Comparison(model_name, leading.name, scored_on, num_threads, rows)


def _as_scored(model: SedModel, config: RunConfig) -> SedModel:
    """The model with the window and the median filter of a configuration, which the user may have typed."""
    model = copy.deepcopy(model).cpu().float().eval()
    model.provenance = dataclasses.replace(
        model.provenance, clip_seconds=config.data.clip_seconds, median_frames=config.data.median_frames
    )
    return model


def _in_precision(
    target: ExportTarget,
    model: SedModel,
    exact: bytes,
    precision: str,
    calibration: Iterator[np.ndarray],
    header: Header,
) -> tuple[bytes, Header]:
    """A file's content and header, whose self-test allows an engine what fewer bits cost in the target's first one."""
    if precision == EXACT:
        return exact, header
    content = target.quantise(model, exact, precision, calibration, header)
    difference = run_self_test(target.with_header(content, header), target.engines()[0])
    test = header.self_test and header.self_test.allowing(difference)
    header = dataclasses.replace(header, precision=precision, self_test=test)
    return target.with_header(content, header), header


def _score(
    content: bytes,
    precision: str,
    folder: Path,
    target: ExportTarget,
    engines: Sequence[str],
    num_threads: int,
    splits: Splits,
    config: RunConfig,
) -> Iterator[_Scored]:
    """Score a file in each engine."""
    file = folder / f"{precision}{target.suffix}"
    file.write_bytes(content)
    for name in engines:
        logger.info("scoring %s in %s", precision, name)
        model = ExportedModel(file, num_threads, name)
        metrics = score_part(model, splits, config, SCORED_PART)
        yield _Scored(precision, name, model.engine, metrics, one_clip(model))


def _check(
    model: SedModel,
    target: ExportTarget,
    paths: dict[str, Path],
    engines: Sequence[str],
    num_threads: int,
    *,
    overwrite: bool,
) -> None:
    """Raise now what would be raised at the end."""
    for precision, path in paths.items():
        target.check_precision(model, precision)
        target.check_output(path, overwrite=overwrite)
    for engine in engines:
        ENGINES.get(engine)
        if engine not in target.engines():
            raise ConfigError(
                f"--engine {engine} does not run {target.name} files; {nearest(engine, target.engines())}"
            )
    check_threads(num_threads)


def _clips(model: SedModel, splits: Splits, config: RunConfig, header: Header) -> Iterator[np.ndarray]:
    """Inputs of one clip each from all over the training part."""
    windows = EvaluationWindows(splits.train, splits.classes, model.grid, config.data.clip_seconds)
    places = np.linspace(0, len(windows) - 1, CALIBRATION_CLIPS).round() if len(windows) else np.zeros(0)
    unreadable: list[str] = []
    for index in np.unique(places.astype(int)):
        batch = collate([windows[int(index)]])
        handle_unreadable(batch, config.data.on_error, unreadable)
        for waveform in batch.waveform[:, None]:
            yield as_input(model, header, waveform).numpy()
    for message in unreadable:
        logger.warning("not calibrated with: %s", message)
