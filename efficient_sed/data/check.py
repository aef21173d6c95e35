"""What is in a data set, how much of it is here, and whether every file of it can be read."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import LABELLED, Clip, Splits, hard_events
from efficient_sed.data.storage.columns import durations, iterate_blocks, of_kinds
from efficient_sed.data.stored_teacher import stored_teacher
from efficient_sed.errors import DataError
from efficient_sed.files.atomic import check_replaceable, opened_atomically
from efficient_sed.machine.progress import progress

logger = logging.getLogger(__name__)
BLOCK = 256  # clips that are decoded together


class PartSummary(NamedTuple):
    """Size of one part of a data set."""

    clips: int
    hours: float
    events: dict[str, int]
    """Events by class."""


class Coverage(NamedTuple):
    """How much of one part is here."""

    expected: int | None
    """Clips of the complete data set; None if unknown."""
    found: int
    unreadable: int
    without_teacher: int | None
    """Training clips that the stored teacher lacks; None without a teacher, and for the other parts."""


class DataReport(NamedTuple):
    """What a check found."""

    splits: Splits
    problems: list[str]
    """One message per unreadable file."""
    coverage: dict[str, Coverage]
    """By part."""


def check_data(config: DataConfig, grid: FrameGrid | None = None) -> DataReport:
    """Load a data set, decode each of its clips, and look each training clip up in its teacher.

    Args:
        config: The data set.
        grid: Frames of the model to be trained, which stored logits have to share; default None, any.

    Raises:
        DataError: If it cannot be loaded; files that cannot be read are reported.
    """
    splits = dataclasses.replace(config, on_error="skip").load()
    teacher = stored_teacher(config, splits, grid)
    problems: dict[str, None] = dict.fromkeys(splits.skipped)
    if splits.known_hash and (found := splits.hash_clips()) != splits.known_hash:
        problems[
            f"data={config.name}: clips or events were changed after packing (manifest hash {found}, packed as "
            f"{splits.known_hash}); pack the data set again"
        ] = None
    unreadable: dict[str, list[str]] = {}
    for part in splits.parts:
        clips: Sequence[Clip] = getattr(splits, part)
        # validation and test may be the same clips
        same = next((earlier for earlier in unreadable if getattr(splits, earlier) == clips), None)
        unreadable[part] = unreadable[same] if same else _undecodable(clips, part, config.pool_size)
        problems |= dict.fromkeys(unreadable[part])
    coverage = {}
    for part in splits.parts:
        clips = getattr(splits, part)
        skipped = splits.num_skipped.get(part, 0)
        coverage[part] = Coverage(
            splits.expected.get(part) if splits.expected else None,
            len(clips) + skipped,
            len(unreadable[part]) + skipped,
            sum(clip.id not in teacher for clip in clips) if teacher is not None and part == "train" else None,
        )
    return DataReport(splits, list(problems), coverage)


def _undecodable(clips: Sequence[Clip], part: str, num_workers: int) -> list[str]:
    """Messages of clips that cannot be decoded."""
    messages: list[str] = []
    remaining = iter(clips)
    with (
        ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool,
        progress(f"clips of the {part} part decoded", len(clips)) as advance,
    ):
        while block := list(itertools.islice(remaining, BLOCK)):
            messages += filter(None, pool.map(_decode, block))
            advance(len(block))
    return messages


def _decode(clip: Clip) -> str | None:
    """The message of a clip that cannot be decoded."""
    try:
        clip.audio.check(clip.duration_s)
    except DataError as error:
        return str(error)
    return None


def check_manifest_place(path: Path) -> None:
    """Raise a DataError if a manifest cannot be written, or would replace a file that is none, such as annotations."""
    try:
        check_replaceable(path, lambda start: start.startswith('{"part": '))
    except OSError as error:
        raise DataError(f"--manifest {path}: cannot be written ({error.strerror})") from error


def write_manifest(splits: Splits, path: Path) -> None:
    """Write one JSON line per clip: part, id, duration_s, hash of the content.

    Raises:
        DataError: If the file cannot be written; one that was there is left as it was.
    """
    try:
        with opened_atomically(path) as file:
            file.writelines(_manifest_lines(splits))
    except OSError as error:
        raise DataError(f"--manifest {path}: cannot be written ({error.strerror})") from error


def _manifest_lines(splits: Splits) -> Iterator[bytes]:
    for part in splits.parts:
        for clip in getattr(splits, part):
            content = clip.audio.content_hash()
            line = {"part": part, "id": clip.id, "duration_s": round(clip.duration_s, 6), "hash": content}
            yield json.dumps(line).encode() + b"\n"


def summarise(clips: Sequence[Clip], classes: Sequence[str]) -> PartSummary:
    """Count clips, hours and events of a part.

    An unlabelled clip has none, whatever it is drawn by; of soft events those count that are there rather than not.
    """
    numbers: dict[str, int] = {label: number for number, label in enumerate(classes)}
    num_events = np.zeros(len(classes), dtype=np.int64)
    for block in iterate_blocks(of_kinds(clips, [kind for kind in LABELLED if kind != "soft"]), numbers):
        num_events += np.bincount(block.label, minlength=len(classes))[: len(classes)]
    for clip in of_kinds(clips, ["soft"]):
        for event in hard_events(clip):
            num_events[numbers[event.label]] += 1
    hours = float(durations(clips).sum()) / 3600
    return PartSummary(len(clips), hours, dict(zip(classes, num_events.tolist(), strict=True)))
