"""What is in a data set, how much of it is here, and whether every file of it can be read."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from efficient_sed._files import write_atomically
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.schema import DataConfig
from efficient_sed.data.datamodule import stored_teacher
from efficient_sed.data.events import PARTS, Clip, Splits
from efficient_sed.data.sources import AudioSource
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
MAX_ROWS, SHOWN_ROWS = 40, 10  # of the table of classes: of a longer one the ten commonest and the ten rarest are shown
REPORT_EVERY_S = 10.0


class Coverage(NamedTuple):
    """How much of one part is here."""

    expected: int | None
    """Clips of the complete data set; none where nothing says so."""
    found: int
    unreadable: int
    without_teacher: int | None
    """None where there is no teacher, or it is not asked."""


class DataReport(NamedTuple):
    """What a check found."""

    splits: Splits
    problems: list[str]
    """One message per unreadable file."""
    coverage: dict[str, Coverage]
    """By part."""


def check_data(config: DataConfig) -> DataReport:
    """Load a data set, decode every clip of it, and ask its teacher for every training clip.

    Raises:
        DataError: If it cannot be loaded; files that cannot be read are reported.
    """
    splits = dataclasses.replace(config, on_error="skip").load()
    teacher = stored_teacher(config, splits, FrameGrid())
    sources = list({clip.audio: None for part in splits.parts for clip in getattr(splits, part)})  # validation and test may be the same clips
    problems: dict[AudioSource, str] = {}
    begun = reported = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(1, config.num_workers)) as pool:
        for count, (source, message) in enumerate(zip(sources, pool.map(_decode, sources), strict=True), 1):
            if message:
                problems[source] = message
            if (now := time.monotonic()) - reported > REPORT_EVERY_S:
                reported = now
                logger.info("decoded %s of %s clips, %.0f a second", f"{count:,}", f"{len(sources):,}", count / (now - begun))
    coverage = {}
    for part in splits.parts:
        clips: Sequence[Clip] = getattr(splits, part)
        skipped = splits.num_skipped.get(part, 0)
        coverage[part] = Coverage(
            splits.expected.get(part) if splits.expected else None,
            len(clips) + skipped,
            sum(clip.audio in problems for clip in clips) + skipped,
            sum(clip.id not in teacher for clip in clips) if teacher is not None and part == "train" else None,
        )
    return DataReport(splits, [*splits.skipped, *problems.values()], coverage)


def _decode(source: AudioSource) -> str | None:
    try:
        source.read()
    except DataError as error:
        return str(error)
    return None


def write_manifest(splits: Splits, path: Path) -> None:
    """One JSON line per clip: part, id, duration_s, hash of the content.

    Raises:
        DataError: If the file cannot be written; one that was there is left as it was.
    """
    try:
        write_atomically(path, "".join(_manifest_lines(splits)).encode())
    except OSError as error:
        raise DataError(f"--manifest {path}: cannot be written ({error.strerror})") from error


def _manifest_lines(splits: Splits) -> Iterator[str]:
    for part in splits.parts:
        for clip in getattr(splits, part):
            yield json.dumps({"part": part, "id": clip.id, "duration_s": round(clip.duration_s, 6), "hash": clip.audio.content_hash()}) + "\n"


def coverage_table(report: DataReport) -> Table:
    """Expected, found, unreadable, without teacher: one row per part."""
    table = Table(title="Clips", title_justify="left")
    for column in ("part", "expected", "found", "of expected", "unreadable", "without teacher"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part, row in report.coverage.items():
        share = "" if not row.expected else f"{row.found / row.expected:.1%}"
        expected, without = ("" if value is None else f"{value:,}" for value in (row.expected, row.without_teacher))
        table.add_row(part, expected, f"{row.found:,}", share, f"{row.unreadable:,}", without)
    return table


def data_table(splits: Splits, *, is_whole: bool = False) -> Table:
    """Clips, hours and events per class of each part; of a long list the commonest and the rarest classes in training, unless the whole is asked for."""
    summaries = {part: splits.summary(part) for part in PARTS}
    counts = summaries["train"].events
    labels = list(splits.classes)
    table = Table(title="Events per class", title_justify="left")
    if len(labels) > MAX_ROWS and not is_whole:
        ordered = sorted(labels, key=lambda label: -counts[label])
        labels = [*ordered[:SHOWN_ROWS], *ordered[-SHOWN_ROWS:]]
        absent = sum(count == 0 for count in counts.values())
        table.caption = f"the {SHOWN_ROWS} commonest and the {SHOWN_ROWS} rarest of {len(splits.classes)} classes; {absent} have no event in training; --classes shows all"
        table.caption_justify = "left"
    table.add_column("class")
    for part in PARTS:
        table.add_column(f"{part}\n{summaries[part].clips} clips, {summaries[part].hours:.2f} h", justify="right")
    for row, label in enumerate(labels):
        table.add_row(label, *(str(summaries[part].events[label]) for part in PARTS), end_section=len(labels) < len(splits.classes) and row == SHOWN_ROWS - 1)
    return table
