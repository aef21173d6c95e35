"""Polyphonic sound detection score, PSDS: exact over all thresholds, clip by clip.

Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020
(https://arxiv.org/abs/1910.08440), over all thresholds as in Ebbers et al., "Threshold independent evaluation of sound
event detection scores", ICASSP 2022 (https://arxiv.org/abs/2201.13148). Changed: counts are summed clip by clip, and of
each class only thresholds that the cut at `max_efpr` can reach are kept. Values equal those of sed_scores_eval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from efficient_sed.data.score_checks import bad_score
from efficient_sed.errors import DataError
from efficient_sed.metrics.psds._checks import check_clip, check_columns, check_duration
from efficient_sed.metrics.psds._entries import Entries, PsdsEntries
from efficient_sed.metrics.psds.parameters import PSDS1, PsdsParameters
from efficient_sed.metrics.psds.result import NO_EVENTS, PsdsResult, describe_variant
from efficient_sed.metrics.psds.roc import Curve, area, class_curve, pool_classes

ALGORITHM = 1  # goes up when a value could change


class PsdsAccumulator:
    """Exact PSDS of clips that come one by one, in any order and in several processes; their scores are not kept.

    Args:
        classes: Labels of the score columns.
        durations: Lengths in seconds of the clips that may come; clips that stay away only cost memory.
        frame_hop_s: Length of a frame.
        parameters: What is measured; by default PSDS1.
        keeps_clips: Keep counts apart by clip, with a margin, for `PsdsClips`: confidence intervals, paired tests and
            folds.
    """

    def __init__(
        self,
        classes: Sequence[str],
        durations: Sequence[float],
        *,
        frame_hop_s: float,
        parameters: PsdsParameters = PSDS1,
        keeps_clips: bool = False,
    ) -> None:
        check_columns(classes, frame_hop_s)
        if len(durations) == 0:
            raise DataError("PSDS needs at least one clip, got none")
        for number, duration_s in enumerate(durations):
            check_duration(f"durations[{number}]", duration_s)
        self.classes, self.frame_hop_s = tuple(classes), frame_hop_s
        self.parameters, self.keeps_clips = parameters, keeps_clips
        self._longest_s = math.fsum(durations)
        self.durations: dict[str, float] = {}
        self._seen_s = 0.0
        self._columns = {label: column for column, label in enumerate(self.classes)}
        self.entries = PsdsEntries(len(self.classes), durations, parameters, keeps_clips=keeps_clips)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Take in one clip: scores (frames, classes), its events (onset_s, offset_s, label) and its length in seconds.

        Raises:
            DataError: If scores or events make no sense, the clip came before, or clips are longer than was said; the
                message names the clip.
        """
        given, rows, borders = check_clip(clip_id, scores, events, duration_s, self._columns, self.frame_hop_s)
        if clip_id in self.durations:
            raise DataError(f"clip {clip_id!r} came before")
        seen_s = self._seen_s + duration_s
        if seen_s > self._longest_s * (1 + 1e-9):
            raise DataError(
                f"clip {clip_id!r}: {len(self.durations) + 1} clips last {seen_s:g} s, "
                f"more than the {self._longest_s:g} s that were announced"
            )
        array = np.ascontiguousarray(given, dtype=np.float32 if given.dtype == np.float32 else np.float64)
        if not self.entries.add_clip(array, rows, borders):
            raise bad_score(f"clip {clip_id!r}", array, self.classes)
        self.durations[clip_id], self._seen_s = float(duration_s), seen_s

    def merge(self, other: PsdsAccumulator) -> None:
        """Take over the clips of an accumulator of the same settings.

        Raises:
            DataError: If the settings differ or both have seen a clip.
        """
        if self._settings() != other._settings():
            raise DataError("accumulators of different classes or parameters cannot be merged")
        if twice := self.durations.keys() & other.durations.keys():
            raise DataError(f"clip {min(twice)!r} came before")
        self.durations |= other.durations
        self._seen_s += other._seen_s
        self.entries.merge(other.entries)

    def compute(self) -> PsdsResult:
        """The score of the clips so far.

        Raises:
            DataError: If they hold no event.
        """
        from efficient_sed.metrics.psds._rates import fewest_alarms

        occurrences, C = self.entries.occurrences(), len(self.classes)
        num_events = np.bincount(occurrences.classes, occurrences.counts, C).astype(np.int64)
        seconds = np.bincount(occurrences.classes, occurrences.seconds, C)
        duration_s, max_efpr = math.fsum(self.durations.values()), self.parameters.max_efpr
        entries, first_entry = self.entries.by_class()
        on, costs = (
            cross_classes(entries, C, self.parameters),
            cross_costs(seconds, duration_s, self.parameters.alpha_ct),
        )
        once, unknown = np.ones(len(self.durations), np.int64), np.zeros(0, np.bool_)
        curves = {}
        for column in np.flatnonzero(num_events):
            fewest = np.empty(num_events[column] + 1)
            fewest_alarms(
                first_entry[column], first_entry[column + 1], entries.scores, entries.clips, entries.hits,
                entries.alarms, on, unknown, once, costs, math.inf, fewest,
            )  # fmt: skip
            curves[self.classes[column]] = class_curve(fewest, duration_s, max_efpr)
        if not curves:
            raise DataError(NO_EVENTS)
        roc = pool_classes(curves, self.parameters.alpha_st)
        single = {label: area(curve, max_efpr) for label, curve in curves.items()}
        variant = describe_variant(self.parameters, len(single), "exact", f"algorithm {ALGORITHM}")
        psds = area(Curve(roc.efpr, roc.etpr), max_efpr)
        return PsdsResult(psds, float(np.mean(list(single.values()))), single, len(self.durations), variant, roc)

    def _settings(self) -> tuple[Any, ...]:
        return self.classes, self.frame_hop_s, self.parameters, self.keeps_clips, self._longest_s


def cross_classes(entries: Entries, num_classes: int, parameters: PsdsParameters) -> np.ndarray:
    """Of each entry the class on which cross-triggers are, -1 for false alarms; empty where none cost anything."""
    has_cross_triggers = parameters.alpha_ct > 0
    return (entries.pairs // num_classes).astype(np.int32) - 1 if has_cross_triggers else np.zeros(0, np.int32)


def cross_costs(seconds: np.ndarray, duration_s: float, alpha_ct: float) -> np.ndarray:
    """False alarms that a cross-trigger on each class counts as; 0 for classes that do not occur.

    Args:
        seconds: Length of each class's events.
        duration_s: Length of all clips.
        alpha_ct: Cost of cross-triggers.
    """
    occurs = seconds > 0
    others = max(int(occurs.sum()) - 1, 1)
    return np.where(occurs, alpha_ct * duration_s / (others * np.where(occurs, seconds, 1.0)), 0.0)
