"""Metrics of scores that any model wrote into tables, and a result of them that `compare` and `plot` read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.config.values import to_dict
from efficient_sed.data.scores.clips import ScoreTables
from efficient_sed.errors import DataError, require
from efficient_sed.experiment.result_file import RESULT_FILE, SCORED_FROM, write_result
from efficient_sed.files.atomic import check_replaceable
from efficient_sed.machine.environment import cpu_name, describe_environment
from efficient_sed.metrics.contracts import Setting, create_metrics, join_metrics
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.tuning.clips import ScoredClip, ScoredClips
from efficient_sed.tuning.scores import TunedScores
from efficient_sed.tuning.tune import tune

ELSEWHERE = "elsewhere"
DEFAULTS = EvaluationConfig()
AXIS_SECONDS = 10.0  # of sound, which given MACs refer to


class Costs(NamedTuple):
    """What a model costs, as its author says."""

    params: float
    macs: float
    """For ten seconds of sound."""

    def to_dict(self) -> dict[str, Any]:
        """The form that results carry.

        Raises:
            ConfigError: If one is below 1, or no number.
        """
        for name, value in self._asdict().items():
            require(1 <= value < float("inf"), name, value, "a number from 1 on")
        note = "parameters and MACs as given with --params and --macs, not counted"
        parts = {"frontend": 0}
        costs = {
            "params": int(self.params),
            "macs": self.macs,
            "macs_by_part": parts,
            "macs_note": note,
            "seconds": AXIS_SECONDS,
        }
        return {**costs, "throughput": None, "latency": None}


def score_tables(
    tables: ScoreTables,
    config: EvaluationConfig = DEFAULTS,
    *,
    postprocessing: Postprocessing | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Metrics of detection as a run's result carries them; after a post-processing keys have `_tuned` behind them.

    Args:
        tables: Scores and ground truth.
        config: Which metrics, with which parameters; by default those of a run.
        postprocessing: For the evaluated classes; default None: scores are taken as they are.
        folder: Where PSDS's counts by clip and its picture are written; default None: nowhere.

    Raises:
        DataError: If a score is not a number, or a table does not fit; the message names the clip.
        MissingDependencyError: If the back end of PSDS is not installed.
    """
    lengths = list(tables.durations.values())
    setting = Setting(tables.classes, lengths, tables.grid, config, keeps_clips=True)
    metrics = create_metrics("detection", setting)
    tuned = None if postprocessing is None else TunedScores(setting, postprocessing, median_frames=1)
    digest = hashlib.sha256(repr((tables.classes, tables.grid)).encode())
    for clip in tables:
        digest.update(repr((clip.id, clip.scores.shape)).encode() + np.ascontiguousarray(clip.scores).tobytes())
        for metric in metrics:
            metric.update(*clip)
        if tuned is not None:
            tuned.update(ScoredClip(*clip))
    coverage = {"clips_expected": len(tables), "clips_scored": len(tables), "unreadable": []}
    entries = {"coverage": coverage, **join_metrics(metrics)}
    for metric in metrics:
        entries |= metric.report(entries["variant"], folder)
    if tuned is not None:
        entries |= tuned.entries(metrics)
    return {**entries, "scores_hash": digest.hexdigest()[:16]}


def tune_on(tables: ScoreTables, config: EvaluationConfig, like: ScoreTables) -> tuple[Postprocessing, dict[str, Any]]:
    """Post-processing chosen on other scores of the same model, and the report about it.

    Args:
        tables: Validation scores and their ground truth.
        config: What is tuned for, and the candidates.
        like: The scores that it is for.

    Raises:
        ConfigError: If nothing is to be tuned.
        DataError: If the two have other classes or frames.
    """
    require(config.tune != "none", "evaluation.tune", config.tune, "what --tune-on tunes for, such as psds1")
    if tables.classes != like.classes:
        label = min(set(tables.classes) ^ set(like.classes), default=tables.classes[0])
        raise DataError(f"--tune-on: its tables have other classes, or another order of them, such as {label!r}")
    if tables.grid.hop_s != like.grid.hop_s:
        frames = f"its tables have frames of {tables.grid.hop_s:g} s, the others of {like.grid.hop_s:g} s"
        raise DataError(f"--tune-on: {frames}; both must be of one model")
    if same := tables.events.keys() & like.events.keys():
        raise DataError(f"--tune-on: {len(same)} clips are scored too, such as {min(same)!r}; tune on other clips")
    clips = [ScoredClip(*clip) for clip in tables]
    found = tune(ScoredClips(tables.classes, tables.grid, clips), config, 1)
    return found.postprocessing, found.report


def describe_result(
    tables: ScoreTables,
    metrics: Mapping[str, Any],
    config: EvaluationConfig,
    *,
    name: str,
    data: str,
    source: Mapping[str, Any],
    costs: Costs | None = None,
    tuning: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The result of scored tables, in the form of a run's; under "scored_from" it says what it is.

    Args:
        tables: What was scored.
        metrics: By `score_tables`.
        config: Of the metrics.
        name: Of the model.
        data: Name of the ground truth.
        source: Files and command.
        costs: What the model costs; default None: unknown, and in no picture.
        tuning: How the post-processing was chosen.
    """
    values = dict(metrics)
    source = {**source, "scores_hash": values.pop("scores_hash"), "hop_s": tables.grid.hop_s}
    manifest_hash = tables.truth_hash()
    parts = repr((name, manifest_hash, source["scores_hash"], to_dict(config), source.get("postprocessing")))
    return {
        "model": name,
        "backbone": name,
        "head": "none",
        "task": "detection",
        "seed": 0,
        "signature": hashlib.sha256(parts.encode()).hexdigest()[:12],
        SCORED_FROM: source,
        "training": {"device": ELSEWHERE, "steps": 0},
        "data": {
            "name": data,
            "manifest_hash": manifest_hash,
            "clips": {"test": len(tables)},
            "num_classes": len(tables.classes),
        },
        "config": {"train": {"epochs": 0}, "data": {"name": data}, "evaluation": to_dict(config)},
        "environment": describe_environment(f"CPU {cpu_name()}"),
        "metrics": values,
        **({} if tuning is None else {"tuning": dict(tuning)}),
        "complexity": None if costs is None else costs.to_dict(),
    }


def check_place(folder: Path) -> None:
    """Raise a DataError if a result cannot be written, or would replace one that is not of score tables."""
    path = folder / RESULT_FILE
    try:
        check_replaceable(path, lambda start: f'"{SCORED_FROM}": {{' in start)
    except OSError as error:
        raise DataError(f"--output {folder}: {path} cannot be written ({error.strerror})") from error


def write_tables_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the result; see `check_place`."""
    try:
        write_result(folder, result)
    except OSError as error:
        raise DataError(f"--output {folder}: cannot be written ({error.strerror})") from error
