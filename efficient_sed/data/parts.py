"""From annotated files to the clips of each part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from efficient_sed.audio.io import audio_info
from efficient_sed.data.events import PARTS, Clip, Event, Group, Kind, Overhang, Splits, clip_events
from efficient_sed.data.spelling import FolderNames, is_below
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError

SHOWN_FILES = 3  # of those that are missing


class Files(NamedTuple):
    """Files of one kind, and where they are listed."""

    audio: Path
    events: Mapping[str, Sequence[Event]]
    """By file name, relative to the folder."""
    group: Group
    where: str
    """For messages."""


def read_parts(
    audio: Mapping[str, Path],
    events: Mapping[str, Mapping[str, Sequence[Event]]],
    classes: Sequence[str],
    on_error: Literal["raise", "skip"],
    num_workers: int,
    may_be_empty: Sequence[str] = (),
    already_skipped: Sequence[str] = (),
    channel: int | None = None,
    *,
    kind: Kind = "strong",
    further: Sequence[Files] = (),
) -> Splits:
    """Clips of annotated files, durations read from the files.

    Args:
        audio: Folder of the files by part.
        events: By part and file name.
        classes: Labels in logit order.
        on_error: As in `read_folder`.
        num_workers: Threads that read the headers of files.
        may_be_empty: Parts that need no clip.
        already_skipped: Messages about files that were left out before.
        channel: Of the files, counted from 1; default None, the mean of all.
        kind: What the events mean, strong or soft.
        further: Training files of other kinds.

    Raises:
        DataError: For a file of two parts or kinds, one that cannot be opened, an event beyond its file's end, or
            another part without clips.
    """
    for first, second in itertools.combinations(events, 2):
        if shared := events[first].keys() & events[second].keys():
            raise DataError(
                f"{audio[first] / min(shared)}: stands in the parts {first} and {second}; a file belongs to one, else "
                "scores mean nothing"
            )
    _check_kinds(audio, events, further)
    skipped = list(already_skipped)
    parts: dict[str, tuple[Clip, ...]] = {}
    num_skipped, overhang = {}, {}
    for part in PARTS:
        before = len(skipped)
        sources = [Files(audio[part], events.get(part, {}), Group(kind), part), *(further if part == "train" else ())]
        read = [clip for source in sources for clip in _clips(source, on_error, num_workers, skipped, channel)]
        parts[part] = tuple(clip for clip, _ in read)
        num_skipped[part] = len(skipped) - before
        if total := Overhang.total(over for _, over in read):
            overhang[part] = total
    for part in PARTS:
        if not parts[part] and part not in may_be_empty:
            missing = _missing_words(audio[part], events.get(part, {}))
            lack = missing or next(iter(skipped), "add rows to its annotations")
            raise DataError(f"{audio[part]}: 0 clips for {'training' if part == 'train' else part}; {lack}")
    train, validation, test = (parts[part] for part in PARTS)
    return Splits(
        tuple(classes), train, validation, test, skipped=tuple(skipped), num_skipped=num_skipped, overhang=overhang,
        chosen_channel=str(channel or ""),
    )  # fmt: skip


def _check_kinds(
    audio: Mapping[str, Path], events: Mapping[str, Mapping[str, Sequence[Event]]], further: Sequence[Files]
) -> None:
    """Raise a DataError for a file that is listed in two ways."""
    if not further:
        return
    seen = {audio[part] / name: f"the {part} part" for part, names in events.items() for name in names}
    for source in further:
        for path in (source.audio / name for name in source.events):
            if path in seen:
                both = f"{path}: stands in {seen[path]} and in {source.where}"
                raise DataError(f"{both}; a file has labels of one kind, and belongs to one part")
            seen[path] = source.where


def _clips(
    source: Files, on_error: str, num_workers: int, skipped: list[str], channel: int | None
) -> list[tuple[Clip, Overhang]]:
    audio, events_by_file, group = source.audio, source.events, source.group
    names = FolderNames(audio)

    def read(name: str) -> tuple[Clip, Overhang] | str:
        path = audio / name
        if not is_below(name):
            return f"{path}: is not below {audio}; file names in annotations are relative to it"
        try:
            path = names.path(name)
            duration_s = audio_info(path).duration_s
        except DataError as error:
            return str(error)
        try:
            events, overhang = clip_events(_until_end(events_by_file[name], duration_s), duration_s, group.kind)
        except DataError as error:
            return f"{path}: {error}"
        clip_id = f"{audio.name}/{name}" if group.kind == "unlabelled" else name  # they have a folder of their own
        return Clip(clip_id, AudioFile(path, channel), duration_s, events, *group), overhang

    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:
        results = list(pool.map(read, events_by_file))
    errors = [result for result in results if isinstance(result, str)]
    if errors and on_error == "raise":
        if len(errors) > 1 and (lack := _missing_words(audio, events_by_file)):
            error = next((error for error in errors if "no such audio file" in error), errors[0])
            raise DataError(f"{error}; {lack}; data.on_error=skip leaves such files out")
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DataError(f"{errors[0]}{more}; data.on_error=skip leaves such files out")
    skipped.extend(errors)
    return [result for result in results if not isinstance(result, str)]


def _until_end(events: Iterable[Event], duration_s: float) -> Iterator[Event]:
    """Events, those without an end of the length of the file."""
    return (event if event.offset_s < math.inf else event._replace(offset_s=duration_s) for event in events)


def _missing_words(audio: Path, names: Collection[str]) -> str:
    """Which annotated files are not there; empty if all are."""
    spelled = FolderNames(audio)
    if not (missing := [name for name in names if not spelled.path(name).exists()]):
        return ""
    shown = ", ".join(missing[:SHOWN_FILES]) + (", …" if len(missing) > SHOWN_FILES else "")
    return f"{len(missing):,} of the {len(names):,} audio files in its annotations are not below {audio}: {shown}"
