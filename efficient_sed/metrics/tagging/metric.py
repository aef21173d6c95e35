"""Metrics of clip-level tagging over a data set, from clip logits clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting


@METRICS.register("tagging")
class TaggingScores(ClipMetric):
    """Collects logits and targets; memory grows by 8 bytes a clip and class."""

    task = "tagging"
    rank = 6
    scores = (
        Score("map", "mAP", "mean average precision", most=1.0, lead=1),
        Score("mauc", "mAUC", "mean AUC", most=1.0),
        Score("dprime", "d-prime", "d-prime", least=float("-inf")),
        Score("accuracy", "accuracy", "accuracy", most=1.0, lead=2),
        Score("f1_macro", "F1 macro", "F1, mean over classes", most=1.0),
    )

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._column = {label: column for column, label in enumerate(self.classes)}
        self._rows: dict[str, tuple[np.ndarray, list[int]]] = {}

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        return cls(setting.classes)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: its logits (classes,) and the labels of its events."""
        self._rows[clip_id] = scores, sorted({self._column[event.label] for event in events})

    def merge(self, other: TaggingScores) -> None:
        """Take over the clips of another process."""
        self._rows |= other._rows

    def metrics(self) -> dict[str, Any]:
        """Means over classes; accuracy and F1 only where each clip has one label of several.

        Raises:
            DataError: If there is no event in the ground truth, or a logit is NaN or plus infinity.
        """
        import torch

        from efficient_sed.metrics.tagging.score import tagging_metrics

        rows = sorted(self._rows.items())
        targets = torch.zeros(len(rows), len(self.classes))
        for row, (_, (_, columns)) in enumerate(rows):
            targets[row, columns] = 1
        logits = torch.from_numpy(np.stack([own for _, (own, _) in rows]))
        return tagging_metrics(logits, targets, self.classes, [clip_id for clip_id, _ in rows])
