"""Counts of every class at every threshold that changes them, and the thresholds at which F1 is best.

A clip's scores leave entries (class, score, clip, change of hits, change of detections), as in Ebbers et al.,
"Threshold independent evaluation of sound event detection scores", ICASSP 2022 (https://arxiv.org/abs/2201.13148).
Entries of clips stay apart, so that folds and draws of clips are weights over them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

THRESHOLD = 0.5
"""Of a class of which no threshold finds an event, and of runs without tuned ones."""
CHUNK = 2**18  # entries
DTYPES = (np.int32, np.float32, np.int32, np.int16, np.int32)  # an hour has more runs than 2^15


class Entries(NamedTuple):
    """Changes of the counts, from thresholds of `scores` downwards."""

    classes: np.ndarray
    scores: np.ndarray
    clips: np.ndarray
    hits: np.ndarray
    detected: np.ndarray


class Curve(NamedTuple):
    """Counts of a class at every threshold, the highest first."""

    scores: np.ndarray
    """A threshold of that score gives these counts, and so does every lower one above the next score."""
    hits: np.ndarray
    detected: np.ndarray
    num_true: float


@dataclass(frozen=True)
class BestThresholds:
    """Counts of each class at a threshold of its own, arrays of shape (classes,)."""

    thresholds: np.ndarray
    """A score of single precision that is at least as high is detected."""
    hits: np.ndarray
    detected: np.ndarray
    num_true: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """NaN for classes without an event in the ground truth."""
        return _share(2 * self.hits, np.where(self.num_true > 0, self.num_true + self.detected, 0))

    @property
    def precision(self) -> np.ndarray:
        """NaN for classes of which nothing is detected."""
        return _share(self.hits, self.detected)

    @property
    def recall(self) -> np.ndarray:
        """NaN for classes without an event in the ground truth."""
        return _share(self.hits, self.num_true)

    def by_class(self, classes: Sequence[str]) -> dict[str, dict[str, float | None]]:
        """Threshold, F1, precision and recall of the classes that occur in the ground truth, as a result carries them.

        Precision is None where nothing is detected.
        """
        shares = zip(classes, self.thresholds, self.f1, self.precision, self.recall, self.num_true > 0, strict=True)
        return {
            label: {
                "threshold": float(threshold),
                "f1": number(f1),
                "precision": number(precision),
                "recall": number(recall),
            }
            for label, threshold, f1, precision, recall, occurs in shares
            if occurs
        }

    @property
    def macro_f1(self) -> float:
        """Mean over the classes that occur in the ground truth; NaN if none does."""
        values = self.f1[self.num_true > 0]
        return float(values.mean()) if len(values) else float("nan")

    @property
    def micro_f1(self) -> float:
        """F1 over all events, those of classes that never occur among them; NaN without any in the ground truth."""
        num_true = self.num_true.sum()
        return float(2 * self.hits.sum() / (num_true + self.detected.sum())) if num_true else float("nan")


def number(value: float) -> float | None:
    """A number for JSON; None for NaN."""
    return None if np.isnan(value) else float(value)


def describe_thresholds(thresholds: Sequence[float] | None) -> float | str:
    """The thresholds of a run as its variant carries them; tuned ones of two seeds differ and yet compare."""
    return THRESHOLD if thresholds is None else "per class"


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient where the whole is above 0, else NaN."""
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


class ThresholdCounts:
    """Grows by clips; then gives counts, the best thresholds, and both for weighted clips."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.clip_ids: list[str] = []
        """In the order of the weights."""
        self._true: list[np.ndarray] = []  # events of each class, by clip
        self._true_table: np.ndarray | None = None  # the same as a table, once it was asked for
        self._chunks: list[Entries] = []
        self._filled = 0  # entries of the last chunk that are in use
        self._sorted: tuple[np.ndarray, Entries] | None = None

    def room(self, size: int) -> tuple[Entries, int]:
        """Arrays with room for so many entries, and where it begins; `close_clip` says how far they were filled."""
        if not self._chunks or self._filled + size > len(self._chunks[-1].classes):
            self._seal()
            self._chunks.append(Entries(*(np.empty(max(CHUNK, size), dtype) for dtype in DTYPES)))
            self._filled = 0
        return self._chunks[-1], self._filled

    def close_clip(self, clip_id: str, filled: int, num_true: np.ndarray) -> None:
        """Give the entries since the last clip to this one, of which `num_true` (classes,) events are true."""
        self._chunks[-1].clips[self._filled : filled] = len(self.clip_ids)
        self._true.append(num_true.astype(np.int32))
        self.clip_ids.append(clip_id)
        self._filled, self._sorted = filled, None

    def merge(self, other: Self) -> None:
        """Take over what another process saw: other clips."""
        self._seal()
        other._seal()
        shift = len(self.clip_ids)
        self._chunks += [chunk._replace(clips=chunk.clips + np.int32(shift)) for chunk in other._chunks]
        self._true += other._true
        self.clip_ids += other.clip_ids
        self._sorted = None
        self._filled = len(self._chunks[-1].classes) if self._chunks else 0

    def num_true(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Events of each class in the ground truth, (classes,)."""
        if self._true_table is None or len(self._true_table) != len(self._true):
            self._true_table = np.array(self._true, np.float64).reshape(-1, self.num_classes)
        return np.asarray(self._weights(weights) @ self._true_table)

    def curve(self, column: int, weights: np.ndarray | None = None) -> Curve:
        """Counts of a class at every threshold that changes them; arguments as for `best`."""
        first_entry, entries = self._by_class()
        own = slice(first_entry[column], first_entry[column + 1])
        weight = self._weights(weights)[entries.clips[own]]
        scores = entries.scores[own][weight > 0]
        is_last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
        hits, detected = (
            np.cumsum((weight * change[own])[weight > 0])[is_last] for change in (entries.hits, entries.detected)
        )
        return Curve(scores[is_last], hits, detected, float(self.num_true(weights)[column]))

    def best(self, weights: np.ndarray | None = None) -> BestThresholds:
        """The threshold of each class with the highest F1, midway between neighbouring scores.

        Of equals the highest one; 0.5 for a class of which no threshold finds anything.

        Args:
            weights: How often each clip counts, (clips,) in the order of `clip_ids`; default None: once.
        """
        from efficient_sed.metrics._thresholds import best_thresholds

        own, num_true = self._weights(weights), self.num_true(weights)
        thresholds = np.full(self.num_classes, np.nan)
        hits, detected = np.zeros((2, self.num_classes))
        first_entry, entries = self._by_class()
        best_thresholds(first_entry, *entries[1:], own, num_true, thresholds, hits, detected)
        is_found = ~np.isnan(thresholds)
        fallback = self.f1_at(np.where(is_found, np.inf, THRESHOLD), weights)
        return BestThresholds(
            np.where(is_found, thresholds, THRESHOLD), hits, np.where(is_found, detected, fallback.detected), num_true
        )

    def f1_at(
        self, thresholds: np.ndarray | Sequence[float] | float | None, weights: np.ndarray | None = None
    ) -> BestThresholds:
        """Counts of each class at its threshold, compared in single precision.

        Args:
            thresholds: Above 0, shape (classes,), or one for all; None: 0.5.
            weights: How often each clip counts; default None: once.
        """
        levels = np.broadcast_to(THRESHOLD if thresholds is None else thresholds, self.num_classes)
        return self._at(levels[None], weights)[0]

    def f1_at_each(self, levels: Sequence[float], weights: np.ndarray | None = None) -> list[BestThresholds]:
        """`f1_at` for several thresholds that all classes share, in one pass."""
        order = np.argsort(-np.asarray(levels), kind="stable")
        shared = np.asarray(levels)[order][:, None].repeat(self.num_classes, axis=1)
        by_level = dict(zip(order.tolist(), self._at(shared, weights), strict=True))
        return [by_level[index] for index in range(len(order))]

    def _at(self, levels: np.ndarray, weights: np.ndarray | None) -> list[BestThresholds]:
        """Counts at thresholds (levels, classes), each class's from the highest down."""
        from efficient_sed.metrics._thresholds import counts_at

        levels = np.ascontiguousarray(levels, np.float32)
        hits, detected = np.zeros((2, *levels.shape))
        first_entry, entries = self._by_class()
        counts_at(first_entry, *entries[1:], self._weights(weights), levels, hits, detected)
        num_true = self.num_true(weights)
        rows = zip(levels.astype(np.float64), hits, detected, strict=True)
        return [BestThresholds(*row, num_true) for row in rows]

    def _weights(self, weights: np.ndarray | None) -> np.ndarray:
        if weights is None:
            return np.ones(len(self.clip_ids))
        if np.shape(weights) != (len(self.clip_ids),):
            raise ValueError(f"weights have shape {np.shape(weights)}; needed: one for each of {len(self.clip_ids)}")
        return np.asarray(weights, np.float64)

    def _seal(self) -> None:
        """Cut what the last chunk does not use."""
        if self._chunks and self._filled < len(self._chunks[-1].classes):
            self._chunks[-1] = Entries(*(values[: self._filled].copy() for values in self._chunks[-1]))

    def _by_class(self) -> tuple[np.ndarray, Entries]:
        """Where the entries of each class begin, and all entries by class and descending score."""
        from efficient_sed.metrics._thresholds import group_by_class

        if self._sorted is None:
            self._seal()
            sizes = np.zeros(self.num_classes, np.int64)
            for chunk in self._chunks:
                sizes += np.bincount(chunk.classes, minlength=self.num_classes)
            first = np.append(0, np.cumsum(sizes))
            entries, place = Entries(*(np.empty(first[-1], dtype) for dtype in DTYPES)), first.copy()
            for chunk in self._chunks:
                group_by_class(*chunk, place, *entries[1:])
            for begin, end in itertools.pairwise(first):
                order = np.argsort(-entries.scores[begin:end])
                for values in entries[1:]:
                    values[begin:end] = values[begin:end][order]
            entries.classes[:] = np.repeat(np.arange(self.num_classes), sizes)
            self._chunks, self._filled = [entries], len(entries.classes)
            self._sorted = first, entries
        return self._sorted
