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
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.metrics.psds._checks import check_clip, check_columns, check_duration
from efficient_sed.metrics.psds._entries import PsdsEntries
from efficient_sed.metrics.psds.parameters import PSDS1, PsdsParameters
from efficient_sed.metrics.psds.result import NO_EVENTS, PsdsResult, describe_variant
from efficient_sed.metrics.psds.roc import Curve, area, class_curve, pool_classes

ALGORITHM = 1  # goes up when a value could change


class PsdsAccumulator:
    """Exact PSDS1 of clips that come one by one, in any order and in several processes; their scores are not kept.

    Args:
        classes: Labels of the score columns.
        durations: Lengths in seconds of the clips that may come; clips that stay away only cost memory.
        frame_hop_s: Length of a frame.
        parameters: What is measured; by default PSDS1.
        keeps_clips: Keep counts apart by clip, with a margin, for `PsdsClips`: confidence intervals and paired tests.

    Raises:
        ConfigError: If cross-triggers are to cost something.
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
        if parameters.alpha_ct:
            raise ConfigError(
                f"back_end=exact knows no cross-triggers (alpha_ct={parameters.alpha_ct}); "
                "give back_end=sed_scores_eval or back_end=psds_eval"
            )
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
        self.events_by_clip: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # by clip: classes that occur, and how often
        self.entries = PsdsEntries(
            {label: column for column, label in enumerate(self.classes)}, durations, parameters, keeps_clips=keeps_clips
        )

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Take in one clip: scores (frames, classes), its events (onset_s, offset_s, label) and its length in seconds.

        Raises:
            DataError: If scores or events make no sense, the clip came before, or clips are longer than was said; the
                message names the clip.
        """
        given, merged, borders = check_clip(clip_id, scores, events, duration_s, self.classes, self.frame_hop_s)
        if clip_id in self.durations:
            raise DataError(f"clip {clip_id!r} came before")
        seen_s = self._seen_s + duration_s
        if seen_s > self._longest_s * (1 + 1e-9):
            raise DataError(
                f"clip {clip_id!r}: {len(self.durations) + 1} clips last {seen_s:g} s, "
                f"more than the {self._longest_s:g} s that were announced"
            )
        array = np.ascontiguousarray(given, dtype=np.float32 if given.dtype == np.float32 else np.float64)
        num_events = self.entries.add_clip(array, merged, borders)
        if num_events is None:
            raise bad_score(f"clip {clip_id!r}", array, self.classes)
        self.durations[clip_id], self.events_by_clip[clip_id], self._seen_s = float(duration_s), num_events, seen_s

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
        self.events_by_clip |= other.events_by_clip
        self._seen_s += other._seen_s
        self.entries.merge(other.entries)

    def compute(self) -> PsdsResult:
        """The score of the clips so far.

        Raises:
            DataError: If they hold no event.
        """
        num_events = self.count_events()
        duration_s, max_efpr = math.fsum(self.durations.values()), self.parameters.max_efpr
        curves = {}
        for column, own in enumerate(self.entries.by_class()):
            if num_events[column]:
                curves[self.classes[column]] = class_curve(
                    own.scores, own.hits, own.alarms, int(num_events[column]), duration_s, max_efpr
                )
        if not curves:
            raise DataError(NO_EVENTS)
        roc = pool_classes(curves, self.parameters.alpha_st)
        single = {label: area(curve, max_efpr) for label, curve in curves.items()}
        variant = describe_variant(self.parameters, len(single), "exact", f"algorithm {ALGORITHM}")
        psds = area(Curve(roc.efpr, roc.etpr), max_efpr)
        return PsdsResult(psds, float(np.mean(list(single.values()))), single, len(self.durations), variant, roc)

    def count_events(self) -> np.ndarray:
        """Events of each class so far."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for columns, count in self.events_by_clip.values():
            counts[columns] += count
        return counts

    def _settings(self) -> tuple[Any, ...]:
        return self.classes, self.frame_hop_s, self.parameters, self.keeps_clips, self._longest_s
