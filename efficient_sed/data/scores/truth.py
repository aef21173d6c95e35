"""Ground truth and lengths of clips: mappings, tables in memory or files, under the names that the scores have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.data.annotations.event_tables import EVENT_COLUMNS
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.annotations.tables import check_hard, log_unused, read_table, read_text, soft_columns
from efficient_sed.data.events import Event
from efficient_sed.data.scores.tables import check_columns, is_table, require_mapping
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import DataError

DURATION_COLUMNS = ("filename", "duration")


def read_ground_truth(
    ground_truth: Any, clip_ids: Sequence[str], format_name: str | None = None
) -> Mapping[str, Sequence[Sequence[Any]]]:
    """Events by clip, from a mapping of them, or a table with a row an event, where clips that it lacks have none.

    Args:
        ground_truth: Path, table or mapping.
        clip_ids: Clips that have scores.
        format_name: Of a file; default None, recognised by its content.

    Raises:
        DataError: If it is something else, or a table has other columns or names a clip without scores.
    """
    if isinstance(ground_truth, str | PathLike):
        by_name: Mapping[str, Sequence[Event]] = read_annotations(Path(ground_truth), format_name).events
    elif is_table(ground_truth):
        by_name = _events_of_table(ground_truth)
    else:
        of_clip = "its events (onset_s, offset_s, label)"
        mapping = require_mapping("ground_truth", ground_truth, of_clip, EVENT_COLUMNS)
        return _by_clip("ground_truth", mapping, clip_ids)
    clips = match_names("ground_truth", by_name, clip_ids)
    events: dict[str, list[Event]] = {clip_id: [] for clip_id in clip_ids}
    for name, own in by_name.items():
        events[clips[name]] += own
    return events


def read_durations(durations: Any, clip_ids: Sequence[str]) -> Mapping[str, float]:
    """Seconds by clip, from a mapping of them, or a table with a row a clip.

    Raises:
        DataError: If it is something else, or a table has other columns or names a clip without scores, or one twice.
    """
    if isinstance(durations, str | PathLike):
        path = Path(durations)
        table = read_table(path, read_text(path), DURATION_COLUMNS, delimiter="\t")
        rows = [(row["filename"], row["duration"]) for _, row in table]
    elif is_table(durations):
        rows = _rows("durations", durations, DURATION_COLUMNS)
    else:
        mapping = require_mapping("durations", durations, "its length in seconds", DURATION_COLUMNS)
        return _by_clip("durations", mapping, clip_ids)
    clips = match_names("durations", dict.fromkeys(str(name) for name, _ in rows), clip_ids, needs_all=True)
    by_clip: dict[str, float] = {}
    for name, value in rows:
        try:
            duration_s = float(value)
        except (TypeError, ValueError):
            raise DataError(f"durations: {name!r} has duration {value!r}; needed: seconds") from None
        if (known_s := by_clip.setdefault(clips[str(name)], duration_s)) != duration_s:
            raise DataError(f"durations: {name!r} is there twice, with {known_s:g} s and {duration_s:g} s")
    return by_clip


def _events_of_table(table: Any) -> dict[str, list[Event]]:
    """Events by file name; a row without times and label is a clip without events."""
    by_name: dict[str, list[Event]] = {}
    header = [column for column in table.columns if isinstance(column, str)]
    soft = soft_columns(header)
    log_unused("ground_truth", header, EVENT_COLUMNS)
    rows = _rows("ground_truth", table, (*EVENT_COLUMNS, *soft))
    for number, (name, onset_s, offset_s, label, *weights) in enumerate(rows, 1):
        place = f"ground_truth: row {number}, {name!r}"
        if _is_missing(name):
            raise DataError(f"ground_truth: row {number}: the filename is empty")
        for column, weight in zip(soft, weights, strict=True):
            check_hard(place, column, None if _is_missing(weight) else weight)
        events = by_name.setdefault(str(name), [])
        if isinstance(label, str) and label.strip():
            events.append(Event(onset_s, offset_s, label.strip()))
        elif isinstance(label, str) or _is_missing(label):
            if not (_is_missing(onset_s) and _is_missing(offset_s)):
                raise DataError(f"{place}: onset without event_label")
        else:
            raise DataError(f"{place}: event_label is {label!r}; labels are text")
    return by_name


def _is_missing(value: Any) -> bool:
    """None, empty text, NaN or NA, as pandas reads an empty field."""
    return value is None or type(value).__name__ == "NAType" or value == "" or value != value  # noqa: PLR0124 (NaN)


def _rows(where: str, table: Any, wanted: Sequence[str]) -> list[tuple[Any, ...]]:
    columns = list(table.columns)
    check_columns(where, columns, wanted)
    return list(zip(*(np.asarray(table[column]).tolist() for column in wanted), strict=True))


def _by_clip(what: str, values: Mapping[str, Any], clip_ids: Sequence[str]) -> Mapping[str, Any]:
    """The same values under the names of clips as they are spelled in the scores."""
    names = by_spelling(values.keys(), f"{what}: ")
    spelled = by_spelling(clip_ids, "scores: ")
    return {spelled.get(key, name): values[name] for key, name in names.items()}


def match_names(what: str, names: Iterable[str], clip_ids: Sequence[str], *, needs_all: bool = False) -> dict[str, str]:
    """The clip with scores that each name belongs to; of the two one may lack the ending of an audio file.

    Args:
        what: Where the names are from, for messages.
        names: File names in a table.
        clip_ids: Clips that have scores.
        needs_all: Whether every clip must be named.

    Raises:
        DataError: If a name has no clip or may be either of several, two name one, or a clip has none.
    """
    by_name: dict[str, str] = {str(spelled): clip_id for spelled, clip_id in by_spelling(clip_ids, "scores: ").items()}
    by_stem: dict[str, list[str]] = {}
    for spelled, clip_id in by_name.items():
        by_stem.setdefault(_stem(spelled), []).append(clip_id)
    matched: dict[str, str] = {}
    known: dict[str, str] = {}
    unknown: list[str] = []
    for name in names:
        key = PurePosixPath(canonical(str(name))).as_posix()
        stem = _stem(key)
        if key in by_name:
            clips = {by_name[key]}
        else:
            clips = {*by_stem.get(key, ()), *([by_name[stem]] if stem in by_name else ())}
        if not clips:
            unknown.append(name)
            continue
        if len(clips) > 1:
            either = " or ".join(map(repr, sorted(clips)))
            raise DataError(f"{what} names the file {name!r}, which may be {either} of the scores")
        (matched[name],) = clips
        if (other := known.setdefault(matched[name], key)) != key:
            own = matched[name]
            raise DataError(f"{what} names the files {other!r} and {key!r}, but there are scores of {own!r} alone")
    lacking = [clip_id for clip_id in clip_ids if clip_id not in known] if needs_all else []
    if unknown or lacking:
        raise DataError(_differing(what, unknown, lacking, len(clip_ids)))
    return matched


def _differing(what: str, unknown: Sequence[str], lacking: Sequence[str], num_clips: int) -> str:
    """The message about names without scores, and clips with scores that are not named."""
    if not lacking:
        named = f"the file {unknown[0]!r}" if len(unknown) == 1 else f"{len(unknown)} files"
        return f"{what} names {named}, of which there are no scores" + (
            f", such as {unknown[0]!r}" if len(unknown) > 1 else ""
        )
    alone = f"{len(lacking)} of {num_clips} clips with scores are not in {what}, such as {lacking[0]!r}"
    others = f"; {len(unknown)} files in {what} have no scores, such as {unknown[0]!r}" if unknown else ""
    return f"scores and {what} name different clips: {alone}{others}"


def _stem(name: str) -> str:
    """A name without the ending of an audio file."""
    path = PurePosixPath(name)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else name
