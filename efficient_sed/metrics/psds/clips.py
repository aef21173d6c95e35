"""Counts behind PSDS apart by clip.

Confidence intervals by drawing clips anew (bootstrap, Efron 1979), and a file of them beside a run's result.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.json import parse_json
from efficient_sed.files.npz import read_arrays
from efficient_sed.machine.environment import one_line
from efficient_sed.metrics.psds._entries import LOWEST
from efficient_sed.metrics.psds.exact import PsdsAccumulator, cross_classes, cross_costs
from efficient_sed.metrics.psds.plot import draw_psd_roc
from efficient_sed.metrics.psds.result import NO_EVENTS
from efficient_sed.metrics.psds.roc import max_alarms

logger = logging.getLogger(__name__)
CLIPS_FILE = "psds_clips.npz"
NUM_REPLICATES, SEED = 1000, 0
CONFIDENCE = 95
_ARRAYS = (
    "durations", "first_entry", "scores", "clips", "hits", "alarms", "event_class", "event_clip", "event_count", "cuts",
)  # fmt: skip
_CROSS_ARRAYS = ("on", "event_seconds")


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
    """Entries of class c are first_entry[c] to first_entry[c + 1] in the next four, and in `on`."""
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
    on: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Of each entry the class on which its alarms are cross-triggers, else -1; empty where these cost nothing."""
    event_seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Length of the events that `event_count` counts, or empty as `on`."""

    @classmethod
    def collect(cls, accumulator: PsdsAccumulator, variant: Mapping[str, Any]) -> PsdsClips:
        """What an accumulator with `keeps_clips` holds; it goes on as it was."""
        ids, C = list(accumulator.durations), len(accumulator.classes)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        rank = np.empty(len(ids), dtype=np.int32)
        rank[order] = np.arange(len(ids))
        occurrences = accumulator.entries.occurrences()
        present = np.unique(occurrences.classes)
        number = np.full(C, -1, dtype=np.int32)
        number[present] = np.arange(len(present))
        entries, firsts = accumulator.entries.by_class()
        on = cross_classes(entries, C, accumulator.parameters)
        is_present = np.repeat(number >= 0, np.diff(firsts))
        _, scores, hits, alarms, arrived = (array[is_present] for array in entries)
        has_cross_triggers = len(on) > 0
        return cls(
            classes=tuple(accumulator.classes[column] for column in present),
            clip_ids=tuple(ids[clip] for clip in order),
            variant=dict(variant),
            durations=np.array(list(accumulator.durations.values()))[order],
            first_entry=np.cumsum([0, *np.diff(firsts)[present]]),
            scores=scores,
            clips=rank[arrived],
            hits=hits,
            alarms=alarms,
            event_class=number[occurrences.classes],
            event_clip=rank[occurrences.clips],
            event_count=occurrences.counts.astype(np.int32),
            cuts=accumulator.entries.cuts[present],
            on=np.append(number, -1)[on[is_present]] if has_cross_triggers else on,  # -1 stays
            event_seconds=occurrences.seconds if has_cross_triggers else np.zeros(0),
        )

    def save(self, path: Path) -> None:
        """Write one compressed file."""
        meta = json.dumps({"classes": self.classes, "clip_ids": self.clip_ids, "variant": self.variant})
        data = io.BytesIO()
        names = (*_ARRAYS, *(_CROSS_ARRAYS if self._has_cross_triggers else ()))
        np.savez_compressed(
            data, meta=np.frombuffer(meta.encode(), dtype=np.uint8), **{name: getattr(self, name) for name in names}
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
            content = path.read_bytes()
            stored, *arrays = read_arrays(content, ("meta", *_ARRAYS))
            meta = parse_json(stored.tobytes())
            if meta["variant"].get("alpha_ct"):
                arrays += read_arrays(content, _CROSS_ARRAYS)
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
        cross_lengths = (num_entries, num_pairs) if self._has_cross_triggers else (0, 0)
        expected = zip((*_ARRAYS, *_CROSS_ARRAYS), (*lengths, *cross_lengths), strict=True)
        if any(getattr(self, name).shape != (length,) for name, length in expected):
            raise ValueError("its arrays do not fit together")
        if any(
            getattr(self, name).dtype.kind != ("f" if name in ("durations", "scores", "cuts", "event_seconds") else "i")
            for name in (*_ARRAYS, *_CROSS_ARRAYS)
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
            (self.on + 1, num_classes + 1),
        )
        if any(((index < 0) | (index >= end)).any() for index, end in indices) or (np.diff(self.first_entry) < 0).any():
            raise ValueError("an index is out of range")
        if not self.variant["max_efpr"] > 0:
            raise ValueError(f"max_efpr is {self.variant['max_efpr']}")

    def class_values(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Single-class PSDS of each class where clip i was drawn weights[i] times, (classes,).

        By default every clip once; weights of 0 and 1 score a fold. Equals scoring the drawn clips from scratch: each
        copy counts as a clip, and classes that occur in none are NaN.

        Raises:
            DataError: If the draw holds no event, or needs entries that were left out.
        """
        from efficient_sed.metrics.psds._rates import class_areas

        drawn = np.ones(len(self.clip_ids), np.int64) if weights is None else np.asarray(weights, np.int64)
        num_classes, drawn_pairs = len(self.classes), drawn[self.event_clip]
        num_events = np.bincount(self.event_class, drawn_pairs * self.event_count, num_classes).astype(np.int64)
        if not num_events.any():
            raise DataError(NO_EVENTS)
        duration_s, max_efpr = float(drawn @ self.durations), float(self.variant["max_efpr"])
        costs = np.zeros(0)
        if self._has_cross_triggers:
            seconds = np.bincount(self.event_class, drawn_pairs * self.event_seconds, num_classes)
            costs = cross_costs(seconds, duration_s, float(self.variant["alpha_ct"]))
        values = np.full(num_classes, np.nan)
        lacking = class_areas(
            self.first_entry, self.scores, self.clips, self.hits, self.alarms, self.on, self._floors, drawn, costs,
            max_alarms(duration_s, max_efpr), duration_s, max_efpr, num_events, self.cuts == LOWEST, values,
        )  # fmt: skip
        if lacking >= 0:
            raise DataError(
                f"class {self.classes[lacking]!r}: this draw of clips needs counts at scores below "
                f"{self.cuts[lacking]:g}, which were left out"
            )
        return values

    def macro(self, weights: np.ndarray | None = None) -> float:
        """Plain mean of `class_values` over the classes that occur."""
        return float(np.nanmean(self.class_values(weights)))

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

    @property
    def _has_cross_triggers(self) -> bool:
        return bool(self.variant.get("alpha_ct"))

    @cached_property
    def _floors(self) -> np.ndarray:
        """Entries by which a clip without events of the class enters."""
        from efficient_sed.metrics.psds._rates import mark_floors

        order = np.argsort(self.event_class, kind="stable")
        pairs = self.event_class[order], self.event_clip[order]
        return mark_floors(self.first_entry, self.clips, *pairs, len(self.clip_ids))


def report_psds(
    accumulator: PsdsAccumulator, variant: Mapping[str, Any], folder: Path | None, clips_file: str, roc_file: str
) -> dict[str, Any]:
    """Confidence interval of macro PSDS, as a result carries it.

    Counts by clip and, with matplotlib, the PSD-ROC go into the folder.
    """
    clips = PsdsClips.collect(accumulator, variant)
    if folder is not None:
        clips.save(folder / clips_file)
        if importlib.util.find_spec("matplotlib") is not None:
            try:
                draw_psd_roc(accumulator.compute(), folder / roc_file)
            except Exception as error:  # a picture is worth no training
                logger.warning("%s: could not be drawn (%s)", folder / roc_file, one_line(error))
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
