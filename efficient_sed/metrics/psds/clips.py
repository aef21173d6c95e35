"""Counts behind PSDS1 apart by clip.

Confidence intervals by drawing clips anew (bootstrap, Efron 1979), and a file of them beside a run's result.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.json import parse_json
from efficient_sed.files.npz import read_arrays
from efficient_sed.machine.environment import one_line
from efficient_sed.metrics.psds._entries import LOWEST, Entries
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.plot import ROC_FILE, draw_psd_roc
from efficient_sed.metrics.psds.result import NO_EVENTS
from efficient_sed.metrics.psds.roc import max_alarms

logger = logging.getLogger(__name__)
CLIPS_FILE = "psds_clips.npz"
NUM_REPLICATES, SEED = 1000, 0
CONFIDENCE = 95
_ARRAYS = (
    "durations", "first_entry", "scores", "clips", "hits", "alarms", "event_class", "event_clip", "event_count", "cuts",
)  # fmt: skip


@dataclass(frozen=True)
class PsdsClips:
    """Changes of the counts at every threshold that can matter, by class and descending score; clips sorted by id."""

    classes: tuple[str, ...]
    """Those that occur."""
    clip_ids: tuple[str, ...]
    variant: Mapping[str, Any]
    """Metric variant of the result beside it."""
    durations: np.ndarray
    """Seconds, by clip."""
    first_entry: np.ndarray
    """Entries of class c are first_entry[c] to first_entry[c + 1] in the next four."""
    scores: np.ndarray
    clips: np.ndarray
    hits: np.ndarray
    alarms: np.ndarray
    event_class: np.ndarray
    """With the next two: which classes occur in which clips, and how often."""
    event_clip: np.ndarray
    event_count: np.ndarray
    cuts: np.ndarray
    """Lowest score kept of each class; entries below were left out."""

    @classmethod
    def collect(cls, accumulator: PsdsAccumulator, variant: Mapping[str, Any]) -> PsdsClips:
        """What an accumulator with `keeps_clips` holds; it goes on as it was."""
        ids = list(accumulator.durations)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        rank = np.empty(len(ids), dtype=np.int32)
        rank[order] = np.arange(len(ids))
        present = np.flatnonzero(accumulator.count_events())
        kept = [entries for column, entries in enumerate(accumulator.entries.by_class()) if column in present]
        occurring = [
            (np.searchsorted(present, columns), np.full(len(columns), rank[clip]), counts)
            for clip, (columns, counts) in enumerate(accumulator.events_by_clip.values())
        ]
        scores, hits, alarms, arrived = (
            np.concatenate([entries[field] for entries in kept]) for field in range(1, len(Entries._fields))
        )
        event_class, event_clip, event_count = (
            np.concatenate(arrays).astype(np.int32) for arrays in zip(*occurring, strict=True)
        )
        return cls(
            classes=tuple(accumulator.classes[column] for column in present),
            clip_ids=tuple(ids[clip] for clip in order),
            variant=dict(variant),
            durations=np.array(list(accumulator.durations.values()))[order],
            first_entry=np.cumsum([0, *(len(entries.scores) for entries in kept)]),
            scores=scores,
            clips=rank[arrived],
            hits=hits,
            alarms=alarms,
            event_class=event_class,
            event_clip=event_clip,
            event_count=event_count,
            cuts=accumulator.entries.cuts[present],
        )

    def save(self, path: Path) -> None:
        """Write one compressed file."""
        meta = json.dumps({"classes": self.classes, "clip_ids": self.clip_ids, "variant": self.variant})
        data = io.BytesIO()
        np.savez_compressed(
            data, meta=np.frombuffer(meta.encode(), dtype=np.uint8), **{name: getattr(self, name) for name in _ARRAYS}
        )
        write_atomically(path, data.getvalue())

    @classmethod
    def load(cls, path: Path) -> PsdsClips:
        """The inverse of `save`.

        Raises:
            DataError: If there is no such file or it is damaged.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file; a finished detection run with evaluation.back_end=exact has one")
        try:
            stored, *arrays = read_arrays(path.read_bytes(), ("meta", *_ARRAYS))
            meta = parse_json(stored.tobytes())
            clips = cls(tuple(meta["classes"]), tuple(meta["clip_ids"]), meta["variant"], *arrays)
            clips._check()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DataError(f"{path}: damaged ({error}); start the run again in another folder") from error
        return clips

    def _check(self) -> None:
        """Raise a ValueError unless all indices point to what is there.

        Compiled loops read, and crash, wherever these say.
        """
        num_clips, num_classes = len(self.clip_ids), len(self.classes)
        num_entries, num_pairs = len(self.scores), len(self.event_clip)
        lengths = (num_clips, num_classes + 1, *[num_entries] * 4, *[num_pairs] * 3, num_classes)
        if any(getattr(self, name).shape != (length,) for name, length in zip(_ARRAYS, lengths, strict=True)):
            raise ValueError("its arrays do not fit together")
        if any(
            getattr(self, name).dtype.kind != ("f" if name in ("durations", "scores", "cuts") else "i")
            for name in _ARRAYS
        ):
            raise ValueError("its counts are not whole numbers, or its scores no numbers")
        if not (np.isfinite(self.durations).all() and (self.durations > 0).all()):
            raise ValueError("a clip has no length")
        if np.isnan(self.scores).any() or np.isnan(self.cuts).any():
            raise ValueError("a score is not a number")
        indices = (
            (self.first_entry, num_entries + 1),
            (self.clips, num_clips),
            (self.event_clip, num_clips),
            (self.event_class, num_classes),
        )
        if any(((index < 0) | (index >= end)).any() for index, end in indices) or (np.diff(self.first_entry) < 0).any():
            raise ValueError("an index is out of range")
        if not self.variant["max_efpr"] > 0:
            raise ValueError(f"max_efpr is {self.variant['max_efpr']}")

    def macro(self, weights: np.ndarray | None = None) -> float:
        """Plain mean over classes of the single-class PSDS1; arguments and errors as for `class_values`."""
        values = self.class_values(weights)
        return float(values[~np.isnan(values)].mean())

    def class_values(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Single-class PSDS1 of each class, (classes,), where clip i was drawn weights[i] times.

        Equals scoring the drawn clips from scratch: each copy counts as a clip, and classes that occur in none are NaN.

        Args:
            weights: Whole numbers, (clips,) in the order of `clip_ids`; default None, every clip once.

        Raises:
            DataError: If the draw holds no event, or needs entries that were left out.
        """
        from efficient_sed.metrics.psds._draws import draw_classes

        weights = np.ones(len(self.clip_ids), np.int64) if weights is None else weights
        num_events = np.bincount(
            self.event_class, weights[self.event_clip] * self.event_count, len(self.classes)
        ).astype(np.int64)
        if not num_events.any():
            raise DataError(NO_EVENTS)
        duration_s, max_efpr = float(weights @ self.durations), float(self.variant["max_efpr"])
        values = np.zeros(len(self.classes))
        is_last_of_ties, is_floor, most_alarms = self._marks
        lacking = draw_classes(
            weights, duration_s, max_alarms(duration_s, max_efpr), max_efpr, num_events, self.first_entry,
            is_last_of_ties, self.clips, self.hits, self.alarms, is_floor, self.cuts == LOWEST, most_alarms, values,
        )  # fmt: skip
        if lacking >= 0:
            raise DataError(
                f"class {self.classes[lacking]!r}: this draw of clips needs counts at scores below "
                f"{self.cuts[lacking]:g}, which were left out"
            )
        return np.where(num_events > 0, values, np.nan)

    def draw(self, replicate: int, seed: int = SEED) -> np.ndarray:
        """How often each clip is drawn, as many in all as there are; drawn anew until one has an event."""
        rng = np.random.default_rng([seed, replicate])
        while True:
            weights = np.bincount(
                rng.integers(len(self.clip_ids), size=len(self.clip_ids)), minlength=len(self.clip_ids)
            )
            if weights[self.event_clip].any():
                return weights

    def bootstrap(self, num_replicates: int = NUM_REPLICATES, seed: int = SEED) -> np.ndarray:
        """`macro` of clips drawn with replacement, (replicates,).

        The same clips in the same replicate for every run on them.
        """
        return np.array([self.macro(self.draw(replicate, seed)) for replicate in range(num_replicates)])

    @cached_property
    def _marks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `draw_classes` takes.

        The last entries of equal score, those by which a clip without events enters, and bounds on the alarms.
        """
        is_last, is_floor = np.zeros(len(self.scores), bool), np.zeros(len(self.scores), bool)
        most_alarms = np.zeros(len(self.classes), np.int64)
        for column, (first, last) in enumerate(itertools.pairwise(self.first_entry)):
            own = slice(first, last)
            is_last[own] = np.append(self.scores[own][1:] != self.scores[own][:-1], True)[: last - first]
            clips, entered = np.unique(self.clips[own], return_index=True)
            is_floor[first + entered[~np.isin(clips, self.event_clip[self.event_class == column])]] = True
            most_alarms[column] = np.maximum(self.alarms[own], 0).sum(dtype=np.int64)
        return is_last, is_floor, most_alarms


def report_psds(accumulator: PsdsAccumulator, variant: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """Confidence interval of macro PSDS, as a result carries it.

    Counts by clip and, with matplotlib, the PSD-ROC go into the folder.
    """
    clips = PsdsClips.collect(accumulator, variant)
    if folder is not None:
        clips.save(folder / CLIPS_FILE)
        if importlib.util.find_spec("matplotlib") is not None:
            try:
                draw_psd_roc(accumulator.compute(), folder / ROC_FILE)
            except Exception as error:  # a picture is worth no training
                logger.warning("%s: could not be drawn (%s)", folder / ROC_FILE, one_line(error))
    key = f"{accumulator.parameters.name}_macro_ci95"
    return {key: list(interval(clips.bootstrap())), "bootstrap": {"replicates": NUM_REPLICATES, "seed": SEED}}


def interval(values: np.ndarray) -> tuple[float, float]:
    """From the k-th lowest to the k-th highest of drawn values: the middle 95 %.

    k is the largest that is below 2.5 % of their number + 1 (Efron & Tibshirani 1993, 12.5), so that 0 lies outside if
    and only if `p_value` is below 0.05.
    """
    k = max(1, ((100 - CONFIDENCE) * (len(values) + 1) - 1) // 200)
    ordered = np.sort(values)
    return float(ordered[k - 1]), float(ordered[-k])


def p_value(differences: np.ndarray) -> float:
    """Two-sided, of drawn differences: twice the share on the rarer side of 0, with 0 itself and one more draw."""
    tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(differences) + 1))
