"""Metrics of clips under tuned post-processing, and what that gains over none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from efficient_sed.metrics.contracts import ClipMetric, Setting
from efficient_sed.metrics.processed import ProcessedMetrics
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.metric import PsdsMetric
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD, Postprocessing
from efficient_sed.tuning.clips import ScoredClip
from efficient_sed.tuning.sides import EventSide, PsdsSide, gain


class TunedScores:
    """Takes in clips beside the metrics of an evaluation that knows no tuning.

    Args:
        setting: What the metrics are created for.
        postprocessing: Tuned, of the evaluated classes.
        median_frames: Window of the filter without tuning.
    """

    def __init__(self, setting: Setting, postprocessing: Postprocessing, median_frames: int) -> None:
        self.metrics = ProcessedMetrics(setting, postprocessing)
        self._hop_s = setting.grid.hop_s
        self._chains = Postprocessing.untuned(median_frames).events, postprocessing.events
        fixed = np.full(len(setting.classes), DEFAULT_THRESHOLD)
        own = fixed if postprocessing.thresholds is None else np.array(postprocessing.thresholds)
        self._thresholds = fixed, own
        self._sides = tuple(EventSide(setting.classes, setting.grid, setting.config) for _ in range(2))

    def update(self, clip: ScoredClip) -> None:
        """Take in a clip."""
        self.metrics.update(*clip)
        for side, chain, thresholds in zip(self._sides, self._chains, self._thresholds, strict=True):
            side.add(clip, chain.apply(clip.scores, self._hop_s), thresholds)

    def entries(self, untuned: Sequence[ClipMetric]) -> dict[str, Any]:
        """Entries of a result: every metric with "_tuned" behind its keys, and gains with 95 % intervals.

        Args:
            untuned: Metrics of the same clips without tuning.
        """
        gains = {"events": gain(*self._sides)}
        name = "psds2" if self.metrics.postprocessing.notes.get("tuned_for") == "psds2" else "psds"
        pair = [_psds_counts(metrics, name) for metrics in (untuned, self.metrics.metrics)]
        if all(isinstance(counts, PsdsAccumulator) and counts.keeps_clips for counts in pair):
            gains["scores"] = gain(*(PsdsSide(counts) for counts in pair))
        return {**self.metrics.entries(), "gain_of_tuning": gains}


def _psds_counts(metrics: Sequence[ClipMetric], name: str) -> Any:
    """What computes the PSDS of that name, or else another, among some metrics."""
    found = {metric.name: metric.back_end for metric in metrics if isinstance(metric, PsdsMetric)}
    return found.get(name, next(iter(found.values()), None))
