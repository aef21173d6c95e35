"""What precisions of a model score and cost, and what is said of each file: whether it pays, and for what it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from efficient_sed.benchmark.clock import Pace
from efficient_sed.inference.header import EXACT

LOST_SCORE = 0.005  # a file that loses more does not pay by speed alone
SAME_SCORE, SAME_SPEED = 0.001, 0.03  # differences that another run on the same machine gives, too


class Deployed(NamedTuple):
    """A file in an engine."""

    target: str
    precision: str
    engine: str
    """With its version."""
    path: Path | None
    """The file that was written; None of the float32 one that others are compared with, if it was not asked for."""
    num_bytes: int
    score: float
    event_f1: float | None
    """None where it is not computed."""
    pace: Pace
    load_ms: float | None
    """From the start of a fresh process to a model that is ready, the import of the run time included."""
    peak_memory_mb: float | None
    """Of that process; None where the system does not report it."""
    is_exact: bool = True
    """Whether the engine computes in the precision of the file."""


class Comparison(NamedTuple):
    """All that was measured, of each format the float32 file first."""

    model_name: str
    metric: str
    """Name of the score."""
    data: str
    """What was scored, such as "synthetic, test part"."""
    num_threads: int
    rows: list[Deployed]
    left_out: list[str]
    """What could not be had where everything was asked for, with the reason."""

    @property
    def paths(self) -> list[Path]:
        """Files that were written."""
        return list(dict.fromkeys(row.path for row in self.rows if row.path is not None))

    @property
    def reference(self) -> Deployed:
        """The fastest in float32; without one, the fastest of a float32 file."""
        exact = [row for row in self.rows if row.precision == EXACT]
        return max(exact, key=lambda row: (row.is_exact, row.pace.clips_per_s))

    def verdicts(self) -> list[str]:
        """A line for each file that was written: what it is good for, in the engine where it is fastest."""
        of_files = ([row for row in self.rows if row.path == path] for path in self.paths)
        fastest = (max(rows, key=lambda row: row.pace.clips_per_s) for rows in of_files)
        return [f"wrote {row.path}: {judge(row, self.reference, self.metric)}" for row in fastest]


def judge(row: Deployed, reference: Deployed, metric: str) -> str:
    """Say what a file is good for beside the fastest float32 one.

    Args:
        row: The file in the engine where it is fastest.
        reference: What it is compared with.
        metric: Name of the score.
    """
    speed = row.pace.clips_per_s / reference.pace.clips_per_s - 1
    score, saved_mb = row.score - reference.score, (reference.num_bytes - row.num_bytes) / 1e6
    if row is reference:
        return f"float32, fastest in {row.engine} ({row.pace.clips_per_s:.1f} clips/s)"
    facts = "; ".join((_speed(speed, row, reference), _score(score, row, reference, metric), _size(saved_mb)))
    if row.precision == EXACT:
        return f"float32 for {row.engine}: {facts}"
    is_faster, is_as_fast, is_smaller = speed > SAME_SPEED, speed >= -SAME_SPEED, saved_mb > 0
    if is_faster and score >= -LOST_SCORE:
        words = f"pays here in {row.engine}"
    elif is_faster:
        words = f"pays here in {row.engine} where its lower score is good enough"
    elif is_as_fast and is_smaller and score >= -LOST_SCORE:
        words = "smaller, and no faster, here"
    elif is_smaller:
        words = "does not pay here, of use only where files must be small"
    else:
        words = "of no use here, float32 is better"
    return f"{words}: {facts}"


def _speed(ratio: float, row: Deployed, reference: Deployed) -> str:
    word = "as fast as float32" if abs(ratio) <= SAME_SPEED else "faster" if ratio > 0 else "slower"
    return f"{word} ({row.pace.clips_per_s:.1f} against {reference.pace.clips_per_s:.1f} clips/s)"


def _score(change: float, row: Deployed, reference: Deployed, metric: str) -> str:
    word = "scores the same" if abs(change) <= SAME_SCORE else "scores more" if change > 0 else "scores less"
    return f"{word} ({row.score:.3f} against {reference.score:.3f} {metric})"


def _size(saved_mb: float) -> str:
    return f"{abs(saved_mb):.1f} MB {'smaller' if saved_mb > 0 else 'larger'}"
