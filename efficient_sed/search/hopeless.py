"""Stops trials that will hardly reach the front.

Optuna prunes studies of one objective only. Here the rule is the median rule among those that cost no more: once a
third of its steps is done, a trial is stopped if its last validation score is below the median of what trials with at
most its MACs had at that validation, and three of them are known. On the front it would have to be better than all.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from efficient_sed.files.atomic import write_atomically
from efficient_sed.sweep.launch import RunStatus, State
from efficient_sed.training.run_files import STOP_FILE

MIN_SHARE, MIN_OTHERS = 1 / 3, 3


class Course(NamedTuple):
    """Validation scores of a trial by the epoch in which they were read, as text: a journal has no other keys."""

    macs: int
    scores: Mapping[str, float]


def is_hopeless(own: Course, epoch: str, others: Sequence[Course]) -> bool:
    """Whether a trial is below the median of those that cost no more."""
    scores = [other.scores[epoch] for other in others if other.macs <= own.macs and epoch in other.scores]
    return len(scores) >= MIN_OTHERS and own.scores[epoch] < statistics.median(scores)


class Watch:
    """Reads how far the runs of a batch are, and asks hopeless ones to stop.

    Args:
        macs: Of the trials of the batch, by the signature of their run.
        others: Courses of earlier trials.
    """

    def __init__(self, macs: Mapping[str, int], others: Sequence[Course]) -> None:
        self.courses = {signature: Course(count, {}) for signature, count in macs.items()}
        self.stopped: set[str] = set()
        self._others = others

    def look(self, statuses: Sequence[RunStatus]) -> None:
        """Read the progress of all that run."""
        for status in statuses:
            if status.state is State.RUNNING and status.point.signature not in self.stopped:
                self._look_at(status, status.progress())

    def _look_at(self, status: RunStatus, progress: Mapping[str, Any]) -> None:
        score = progress.get("score")
        if score is None:
            return
        course, epoch = self.courses[status.point.signature], str(progress["epoch"])
        if epoch in course.scores:
            return
        scores: dict[str, float] = {**course.scores, epoch: float(score)}
        self.courses[status.point.signature] = course = Course(course.macs, scores)
        is_due = progress["step"] >= MIN_SHARE * progress["steps"]
        if is_due and is_hopeless(course, epoch, self._others):
            self.stopped.add(status.point.signature)
            with contextlib.suppress(OSError):  # then it is trained to its end
                write_atomically(status.point.folder / STOP_FILE, b"hopeless")
