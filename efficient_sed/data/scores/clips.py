"""Scores, ground truth and lengths of clips that belong together: checked first, then read clip by clip."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import OVERHANG_S, OVERHANG_SHARE, Event, clip_events, merge_overlapping
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.data.scores.grid import find_grid
from efficient_sed.data.scores.tables import is_table, open_scores, table_classes, table_rows, to_array
from efficient_sed.data.scores.truth import match_names, read_durations, read_ground_truth
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import DataError, nearest

logger = logging.getLogger(__name__)


class TableClip(NamedTuple):
    """A clip with its scores and its ground truth."""

    id: str
    scores: np.ndarray
    """Shape (frames, classes)."""
    events: Sequence[Event]
    duration_s: float


class ScoreTables:
    """Clips of score tables, in the order of their names; iterating reads one table after the other.

    Args:
        scores: Folder of TSV or npz files, or tables by clip; their labels are the classes.
        ground_truth: File or table with a row an event, or events by clip. Clips that it lacks have no events.
        durations: File or table with a row a clip, or seconds by clip; it names every clip.
        classes: Those that are evaluated, in their order; default None: all labels of the tables.
        truth_format: Of a file of ground truth; default None: recognised by its content.

    Raises:
        DataError: If they do not belong together or make no sense; the message names clip, value and what is needed.
    """

    def __init__(
        self,
        scores: Any,
        ground_truth: Any,
        durations: Any,
        *,
        classes: Sequence[str] | None = None,
        truth_format: str | None = None,
    ) -> None:
        self._tables = open_scores(scores)
        clip_ids = sorted(self._tables.keys())
        if not clip_ids:
            raise DataError("scores: there is no clip")
        first = self._tables[clip_ids[0]]
        self.all_classes = table_classes(clip_ids[0], first)
        self.applied: tuple[str, ...] = tuple(getattr(first, "applied", ()))
        """Names of the methods that the scores say they went through; none for raw ones."""
        if self.applied:
            advice = "efficient-sed detect --postprocessing none --format npz writes them as the model gives them"
            logger.warning(
                "scores: were post-processed when they were written (%s); %s", ", ".join(self.applied), advice
            )
        self.classes = self.all_classes if classes is None else _chosen(classes, self.all_classes)
        self.durations = _durations(durations, clip_ids)
        self.events = self._read_events(read_ground_truth(ground_truth, clip_ids, truth_format), clip_ids)
        found = find_grid({clip_id: table_rows(clip_id, self._table(clip_id)) for clip_id in clip_ids})
        self.grid: FrameGrid = found.grid
        if found.num_expanded:
            rows = f"{found.num_expanded} of {len(clip_ids)} tables have rows of unequal length"
            logger.info("scores: %s, expanded to frames of %g s", rows, self.grid.hop_s)
        self._has_notes = True

    def __iter__(self) -> Iterator[TableClip]:
        columns = [self.all_classes.index(label) for label in self.classes]
        num_cut, longest_s, lowest, highest = 0, 0.0, np.inf, -np.inf
        for clip_id, events in self.events.items():
            duration_s = self.durations[clip_id]
            scores = to_array(clip_id, self._table(clip_id), self.all_classes, self.grid.hop_s)
            check_scores(f"clip {clip_id!r}", scores, self.all_classes)
            over_s = len(scores) * self.grid.hop_s - duration_s
            scores = _cut(clip_id, scores[:, columns], self.grid.hop_s, duration_s)
            if over_s > self.grid.hop_s:
                num_cut, longest_s = num_cut + 1, max(longest_s, over_s)
            lowest, highest = min(lowest, scores.min()), max(highest, scores.max())
            yield TableClip(clip_id, scores, events, duration_s)
        if self._has_notes:  # of the first pass
            self._has_notes = False
            if num_cut:
                logger.info("scores: %d clips go on behind their end, by at most %.3g s; cut there", num_cut, longest_s)
            if not 0 <= lowest <= highest <= 1:
                words = "scores: they lie between %g and %g; scores at thresholds, such as F1, need them in [0, 1]"
                logger.warning(words, lowest, highest)

    def __len__(self) -> int:
        return len(self.events)

    def truth_hash(self) -> str:
        """Hash of classes, clips, their lengths and events: results compare where it is the same."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for clip_id, events in self.events.items():
            digest.update(repr((clip_id, round(self.durations[clip_id], 6), [tuple(e[:3]) for e in events])).encode())
        return digest.hexdigest()[:16]

    def _table(self, clip_id: str) -> Any:
        table = self._tables[clip_id]
        if not is_table(table):
            table_classes(clip_id, table)  # raises
        return table

    def _read_events(
        self, given: Mapping[str, Sequence[Sequence[Any]]], clip_ids: Sequence[str]
    ) -> dict[str, Sequence[Event]]:
        match_names("ground_truth", given, clip_ids)  # of a mapping
        spelled, known = by_spelling(self.all_classes), set(self.classes)
        by_clip: dict[str, Sequence[Event]] = {}
        for clip_id in clip_ids:
            where = f"clip {clip_id!r}"
            events = [_event(where, event, spelled) for event in given.get(clip_id, ())]
            check_labels(where, (event.label for event in events), self.all_classes)
            try:
                clip_events(events, self.durations[clip_id])  # what goes on behind the end counts, unless it is much
            except DataError as error:
                raise DataError(f"{where}: {error}, or its duration") from error
            by_clip[clip_id] = merge_overlapping(event for event in events if event.label in known)
        if not any(by_clip.values()):
            raise DataError("ground_truth: holds no event of the classes that are scored")
        return by_clip


def _durations(durations: Any, clip_ids: Sequence[str]) -> dict[str, float]:
    given = read_durations(durations, clip_ids)
    match_names("durations", given, clip_ids, needs_all=True)  # of a mapping
    for clip_id in clip_ids:
        if not (isinstance(given[clip_id], int | float) and 0 < given[clip_id] < np.inf):
            raise DataError(f"clip {clip_id!r}: duration {given[clip_id]!r} must be seconds, above 0")
    return {clip_id: float(given[clip_id]) for clip_id in clip_ids}


def _chosen(classes: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Classes that are evaluated, as the tables spell them."""
    spelled = by_spelling(known)
    for label in classes:
        if canonical(label) not in spelled:
            raise DataError(f"classes: {label!r} is no column of the tables; {nearest(label, known)}")
    chosen = tuple(spelled[canonical(label)] for label in classes)
    if not chosen or len(set(chosen)) < len(chosen):
        raise DataError(f"classes={','.join(classes)} is not allowed: labels of the tables, each once")
    return chosen


def _event(where: str, event: Sequence[Any], spelled: Mapping[Any, str]) -> Event:
    """An event with a label as the tables spell it."""
    try:
        onset_s, offset_s, label = float(event[0]), float(event[1]), event[2]
    except (TypeError, ValueError, LookupError):
        raise DataError(f"{where}: {tuple(event)!r} is no event (onset_s, offset_s, label)") from None
    if not 0 <= onset_s < offset_s < np.inf:
        needed = "the onset must come first"
        raise DataError(f"{where}: event {label!r} has onset {onset_s} s and offset {offset_s} s; {needed}")
    return Event(onset_s, offset_s, spelled.get(canonical(label), label) if isinstance(label, str) else label)


def _cut(clip_id: str, scores: np.ndarray, hop_s: float, duration_s: float) -> np.ndarray:
    """Scores of frames that begin within the clip.

    Raises:
        DataError: If they cover much more, or much less, than the clip.
    """
    covered_s = len(scores) * hop_s
    if abs(covered_s - duration_s) > max(OVERHANG_S, OVERHANG_SHARE * duration_s, hop_s):
        raise DataError(
            f"clip {clip_id!r}: its scores cover {covered_s:g} s, but it lasts {duration_s:g} s; correct its duration"
        )
    return scores[np.round(np.arange(len(scores)) * hop_s, 6) < duration_s]
