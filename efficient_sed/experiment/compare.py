"""Whether one run is better than another, or was only luckier with its clips: a paired bootstrap of macro PSDS1.

Both runs are scored on the same clips drawn with replacement, over and over (Efron & Tibshirani, "An Introduction to
the Bootstrap", 1993). One convention: a difference is real if and only if p < 0.05, which is if and only if its
interval, of the same draws, leaves out 0. What another training seed would change is not in it: that takes several
runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.result_file import RESULT_FILE, main_score, read_result
from efficient_sed.metrics.psds.clips import CLIPS_FILE, CONFIDENCE, NUM_REPLICATES, SEED, PsdsClips, interval, p_value

MAX_P = (100 - CONFIDENCE) / 100
MIN_REPLICATES, MAX_REPLICATES = 100, 100_000


@dataclass(frozen=True)
class RunScore:
    """One of the runs."""

    folder: str
    model: str
    metric: str
    """Key of the score in the result: "psds1_macro", or that of other parameters."""
    score: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same clips."""

    first: RunScore
    second: RunScore
    difference: float
    """Second less first."""
    ci95: tuple[float, float]
    """Of the difference."""
    p_value: float
    """Two-sided: how often a difference that large would come about by the choice of clips."""
    num_clips: int
    replicates: int
    seed: int

    @property
    def is_real(self) -> bool:
        """Whether other clips would hardly turn it round; says nothing of other seeds."""
        return self.p_value < MAX_P

    def lines(self) -> list[str]:
        """What the command prints."""
        width = max(len(self.first.folder), len(self.second.folder), len("second less first"))
        runs = (self.first, self.second)
        rows = [f"{run.folder:{width}}  {run.score:.4f}  [{run.ci95[0]:.4f}, {run.ci95[1]:.4f}]" for run in runs]
        interval = f"[{self.ci95[0]:+.4f}, {self.ci95[1]:+.4f}]"
        rows.append(f"{'second less first':{width}} {self.difference:+.4f}  {interval}  p = {self.p_value:.4g}")
        basis = f"p {'<' if self.is_real else '>='} {MAX_P:g}, {self.replicates} draws of {self.num_clips} clips"
        if self.is_real:
            better = self.second if self.ci95[0] > 0 else self.first
            reason = f"beyond what the choice of clips explains ({basis})"
            verdict = f"The difference is real: {better.folder} is better, {reason}."
        else:
            verdict = f"The difference may well be chance: other clips of this kind could turn it round ({basis})."
        return [
            *rows,
            verdict,
            "This is about the choice of clips for these two trainings, not about seeds: "
            "those take several runs of each.",
        ]


def compare_runs(first: Path, second: Path, replicates: int = NUM_REPLICATES, seed: int = SEED) -> Comparison:
    """Compare two finished detection runs.

    Args:
        first: A run's folder.
        second: Another's.
        replicates: Draws of the clips.
        seed: Of the draws.

    Raises:
        DataError: If a run is not finished, or they differ in data, clips, classes or metric variant; the message says
            in what.
        ConfigError: If there are too few replicates, or too many, or both folders are one.
    """
    if not MIN_REPLICATES <= replicates <= MAX_REPLICATES:
        raise ConfigError(f"--replicates {replicates} is not allowed: {MIN_REPLICATES} to {MAX_REPLICATES}")
    if first.resolve() == second.resolve():
        raise ConfigError(f"{first} and {second} are one run; give two, such as runs/RUN_A runs/RUN_B")
    folders = (first, second)
    results, clips = zip(*(_read(folder) for folder in folders), strict=True)
    _check_same(folders, results, clips)
    values = [own.bootstrap(replicates, seed) for own in clips]
    before, after = itertools.starmap(_score, zip(folders, results, values, strict=True))
    differences = values[1] - values[0]
    spread, num_clips = interval(differences), len(clips[0].clip_ids)
    difference, p = after.score - before.score, p_value(differences)
    return Comparison(before, after, difference, spread, p, num_clips, replicates, seed)


def _score(folder: Path, result: Mapping[str, Any], values: np.ndarray) -> RunScore:
    key = main_score(result).key
    return RunScore(str(folder), result["model"], key, float(result["metrics"][key]), interval(values))


def _read(folder: Path) -> tuple[dict[str, Any], PsdsClips]:
    result = read_result(folder)
    if result is None:
        raise DataError(
            f"{folder}: holds no finished run ({RESULT_FILE} is missing); give the folder of a run, such as runs/RUN"
        )
    key, title = main_score(result).key, main_score(result).name
    if result["task"] != "detection" or key not in result["metrics"]:
        raise DataError(f"{folder}: is a run of task={result['task']}; runs of task=detection compare")
    clips = PsdsClips.load(folder / CLIPS_FILE)
    if abs(clips.macro() - result["metrics"][key]) > 1e-9:
        values = f"gives {title} {clips.macro():.6f}, {RESULT_FILE} beside it {result['metrics'][key]:.6f}"
        raise DataError(f"{folder / CLIPS_FILE}: {values}; they are not of one run")
    return result, clips


def _check_same(
    folders: tuple[Path, Path], results: tuple[Mapping[str, Any], ...], clips: tuple[PsdsClips, ...]
) -> None:
    first, second = (
        {
            "data": result["data"]["name"],
            "manifest_hash": result["data"]["manifest_hash"],
            **result["metrics"]["variant"],
        }
        for result in results
    )
    pair = f"{folders[0]} and {folders[1]} do not compare"
    for key in {**first, **second}:
        if first.get(key) != second.get(key):
            raise DataError(f"{pair}: {key} is {first.get(key)} in the first, {second.get(key)} in the second")
    for what, own, other in (
        ("clip", clips[0].clip_ids, clips[1].clip_ids),
        ("class", clips[0].classes, clips[1].classes),
    ):
        if different := set(own) ^ set(other):
            name = min(different)
            raise DataError(f"{pair}: {what} {name!r} was scored in the {'first' if name in own else 'second'} alone")
    if not all(
        np.array_equal(getattr(clips[0], name), getattr(clips[1], name))
        for name in ("durations", "event_class", "event_clip", "event_count")
    ):
        raise DataError(f"{pair}: the clips' events or lengths differ")
