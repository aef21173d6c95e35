"""Metrics of detection under one post-processing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.metrics.contracts import TUNED, Setting, create_metrics, join_metrics
from efficient_sed.postprocessing.carried import Postprocessing


class ProcessedMetrics:
    """Gives each metric the scores that it is taken of: for thresholds of all heights, or for events.

    Args:
        setting: What the metrics are created for; its thresholds are those of the post-processing.
        postprocessing: Of the evaluated classes.
    """

    def __init__(self, setting: Setting, postprocessing: Postprocessing) -> None:
        self.postprocessing, self._hop_s = postprocessing, setting.grid.hop_s
        own = dataclasses.replace(setting, thresholds=postprocessing.thresholds)
        self.metrics = create_metrics("detection", own)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Take in a clip: unfiltered scores (frames, classes), its events, its length in seconds."""
        how = self.postprocessing
        for is_of_events, chain in ((False, how.scores), (True, how.events)):
            metrics = [metric for metric in self.metrics if metric.is_of_events == is_of_events]
            processed = chain.apply(scores, self._hop_s) if metrics else scores
            for metric in metrics:
                metric.update(clip_id, processed, events, duration_s)

    def entries(self) -> dict[str, Any]:
        """Entries of a result, with "_tuned" behind their keys."""
        entries, how = join_metrics(self.metrics), self.postprocessing
        entries["variant"] |= {
            "postprocessing": how.scores.describe(),
            "event_postprocessing": how.events.describe(),
        }
        return {f"{key}{TUNED}": value for key, value in entries.items()}
