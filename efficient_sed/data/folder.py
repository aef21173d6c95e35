"""A folder of audio files with tab-separated annotations, DESED style: `filename onset offset event_label`.

A clip without events has one row with empty fields. Parts (train, validation, test) are one file each, or a column of one file.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from efficient_sed.audio.io import audio_info, find_audio
from efficient_sed.config.schema import ONE_OR_LIST, DataConfig, require
from efficient_sed.data._tables import read_table
from efficient_sed.data.events import PARTS, Clip, Event, Splits, merge_overlapping
from efficient_sed.data.labels import audioset_labels, label_problem
from efficient_sed.data.sources import AudioFile
from efficient_sed.errors import DataError, nearest
from efficient_sed.registry import DATASETS

CLASS_LISTS: Mapping[str, Callable[[], tuple[str, ...]]] = {f"audioset_{which}": partial(audioset_labels, which) for which in ("strong", "weak")}
EVENT_COLUMNS = ("filename", "onset", "offset", "event_label")
SHOWN_FILES = 3  # of those that are missing
OVERHANG_S = 0.1  # annotations may end a little after the file does: rounding, padding of codecs


@DATASETS.register("folder")
@dataclass(frozen=True)
class FolderConfig(DataConfig):
    """Own recordings: audio under `root`/`audio`, annotations beside it."""

    root: str = "data"
    """Folder of the data set."""
    audio: str = "audio"
    """Folder of the audio files, relative to root; `filename` in the annotations is relative to it."""
    train: str | None = "train.tsv"
    """Annotations of the training part, relative to root. None: all audio files that stand in no other part, without labels, for a teacher."""
    validation: str | None = "validation.tsv"
    """Annotations that choose the best epoch; none where nothing is trained."""
    test: str | None = "test.tsv"
    """Annotations that results are computed on; none where nothing is scored."""
    annotations: str | None = None
    """One file for all parts instead of three; the column `split_column` then tells them apart."""
    split_column: str = "split"
    """Column with train, validation or test in each row of `annotations`."""
    classes: tuple[str, ...] | None = field(default=None, metadata={ONE_OR_LIST: True})
    """Labels in logit order, or audioset_strong or audioset_weak for those of AudioSet; none: all labels of the annotations, sorted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.classes is None or len(set(self.classes)) == len(self.classes) > 0, "data.classes", self.classes, "at least one label, none twice")

    @property
    def has_labels(self) -> bool:
        return self.annotations is not None or self.train is not None

    def load(self) -> Splits:
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(f"data.root={self.root}: no such directory; give the folder of your data set as data.root=DIR")
        classes = None if self.classes is None else tuple(label.strip() for label in self.classes)  # as labels of the annotations
        if classes is not None and len(classes) == 1 and classes[0] in CLASS_LISTS:
            classes = CLASS_LISTS[classes[0]]()
        if self.annotations is None:
            files = {part: None if getattr(self, part) is None else root / getattr(self, part) for part in PARTS}
            return read_folder(root / self.audio, files, classes, self.on_error, self.num_workers)
        return read_folder(root / self.audio, root / self.annotations, classes, self.on_error, self.num_workers, self.split_column)


def read_folder(
    audio: Path,
    annotations: Mapping[str, Path | None] | Path,
    classes: Sequence[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    num_workers: int = 2,
    split_column: str = "split",
) -> Splits:
    """Clips by part, durations read from the files.

    Args:
        annotations: One TSV per part, or one TSV whose `split_column` names the part of each row. Without one the training part is all audio that
            is in no other part, without labels, and another part is empty.
        classes: Allowed labels in logit order; none takes all that occur, sorted.
        on_error: "skip" leaves out files that cannot be opened and reports them in `Splits.skipped`.

    Raises:
        DataError: For a missing folder, file or column, a bad time or label, no training clip; the message names file and line.
    """
    if not audio.is_dir():
        raise DataError(f"{audio}: no such directory of audio files; name it, relative to data.root, as data.audio=DIR")
    skipped: list[str] = []
    if isinstance(annotations, Path):
        by_part = read_annotations(annotations, split_column)
    else:
        by_part = {part: {} if path is None else read_annotations(path)[""] for part, path in annotations.items()}
        if annotations["train"] is None:
            elsewhere = {Path(name).as_posix() for events in by_part.values() for name in events}
            by_part["train"] = {name: [] for path in find_audio(audio, skipped if on_error == "skip" else None) if (name := path.relative_to(audio).as_posix()) not in elsewhere}
    labels = {event.label for clips in by_part.values() for events in clips.values() for event in events}
    if classes is None:
        classes = sorted(labels)
        if not classes:
            raise DataError(f"{audio}: the annotations hold no event, so there is nothing to learn; name the classes as data.classes=[…] if that is meant")
    if problem := label_problem([*classes, *sorted(labels - set(classes))]):
        raise DataError(f"{audio}: in its annotations, {problem}")
    for label in sorted(labels - set(classes)):
        raise DataError(f"label {label!r} in the annotations is not in the class list; {nearest(label, classes)}")
    may_be_empty = [] if isinstance(annotations, Path) else [part for part, path in annotations.items() if path is None]
    return read_parts(dict.fromkeys(PARTS, audio), by_part, classes, on_error, num_workers, [part for part in may_be_empty if part != "train"], skipped)


def read_parts(
    audio: Mapping[str, Path],
    events: Mapping[str, Mapping[str, Sequence[Event]]],
    classes: Sequence[str],
    on_error: Literal["raise", "skip"],
    num_workers: int,
    may_be_empty: Sequence[str] = (),
    already_skipped: Sequence[str] = (),
) -> Splits:
    """Clips of annotated files, durations read from the files.

    Args:
        audio: Folder of the files by part.
        events: By part and file name.
        may_be_empty: Parts that need no clip.
        already_skipped: Messages about what was left out before.

    Raises:
        DataError: For a file of two parts, one that cannot be opened, an event beyond its file's end, or another part without clips.
    """
    for first, second in itertools.combinations(events, 2):
        if shared := events[first].keys() & events[second].keys():
            raise DataError(f"{audio[first] / min(shared)}: stands in the parts {first} and {second}; a file belongs to one, else scores mean nothing")
    skipped = list(already_skipped)
    parts: dict[str, tuple[Clip, ...]] = {}
    num_skipped = {}
    for part in PARTS:
        before = len(skipped)
        parts[part] = _clips(audio[part], events.get(part, {}), on_error, num_workers, skipped)
        num_skipped[part] = len(skipped) - before
    for part in PARTS:
        if not parts[part] and part not in may_be_empty:
            lack = _missing_words(audio[part], events.get(part, {})) or "add rows to its annotations" + (f" ({skipped[0]})" if skipped else "")
            raise DataError(f"{audio[part]}: 0 clips for {'training' if part == 'train' else part}; {lack}")
    return Splits(tuple(classes), parts["train"], parts["validation"], parts["test"], skipped=tuple(skipped), num_skipped=num_skipped)


def read_annotations(path: Path, split_column: str | None = None) -> dict[str, dict[str, list[Event]]]:
    """Events by part and file name; without a split column all stand under the part "".

    Raises:
        DataError: For a missing file or column, or a row that makes no sense; with its line number.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, and no annotation file' if path.is_dir() else 'no such annotation file'}")
    by_part: dict[str, dict[str, list[Event]]] = {part: {} for part in (PARTS if split_column else ("",))}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    columns = (*EVENT_COLUMNS, *([split_column] if split_column else []))
    for place, row in read_table(path, text, columns, f", separated by tabs: {' '.join(EVENT_COLUMNS)}", delimiter="\t", quoting=csv.QUOTE_NONE):
        part = row[split_column] if split_column else ""
        if part not in by_part:
            raise DataError(f"{place}: {split_column}={part!r} is not a part; {nearest(part, PARTS)}")
        if not row["filename"]:
            raise DataError(f"{place}: the filename is empty")
        events = by_part[part].setdefault(PurePosixPath(row["filename"]).as_posix(), [])  # ./a.wav is a.wav
        if row["event_label"] or row["onset"] or row["offset"]:
            events.append(_event(row, place))
    return by_part


def _event(row: dict[str, str], place: str) -> Event:
    label = row["event_label"].strip()  # blanks around it are a slip of the hand, and no other class
    if not label:
        raise DataError(f"{place}: onset without event_label")
    try:
        onset, offset = float(row["onset"]), float(row["offset"])
    except (TypeError, ValueError):
        raise DataError(f"{place}: onset={row['onset']!r}, offset={row['offset']!r} are not seconds") from None
    if not (math.isfinite(onset) and math.isfinite(offset) and 0 <= onset < offset):
        raise DataError(f"{place}: onset={onset:g} must be at least 0 and before offset={offset:g}")
    return Event(onset, offset, label)


def _clips(audio: Path, events_by_file: Mapping[str, Sequence[Event]], on_error: str, num_workers: int, skipped: list[str]) -> tuple[Clip, ...]:
    def read(name: str) -> Clip | str:
        path = audio / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return f"{path}: is not below {audio}; file names in annotations are relative to it"
        try:
            duration_s = audio_info(path).duration_s
        except DataError as error:
            return str(error)
        events = merge_overlapping(events_by_file[name])
        for event in events:
            if event.onset_s >= duration_s or event.offset_s > duration_s + OVERHANG_S:
                return f"{path}: event {event.label!r} at {event.onset_s:g}-{event.offset_s:g} s lies beyond the file's end at {duration_s:g} s"
        inside = tuple(event._replace(offset_s=min(event.offset_s, duration_s)) for event in events)
        return Clip(name, AudioFile(path), duration_s, inside)

    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:
        results = list(pool.map(read, events_by_file))
    errors = [result for result in results if isinstance(result, str)]
    if errors and on_error == "raise":
        if len(errors) > 1 and (lack := _missing_words(audio, events_by_file)):
            raise DataError(f"{next((error for error in errors if 'no such audio file' in error), errors[0])}; {lack}; data.on_error=skip leaves such files out")
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DataError(f"{errors[0]}{more}; data.on_error=skip leaves such files out")
    skipped.extend(errors)
    return tuple(result for result in results if isinstance(result, Clip))


def _missing_words(audio: Path, names: Collection[str]) -> str:
    """Which annotated files are not there; empty if all are."""
    missing = [name for name in names if not (audio / name).exists()]
    shown = ", ".join(missing[:SHOWN_FILES]) + (", …" if len(missing) > SHOWN_FILES else "")
    return f"{len(missing):,} of the {len(names):,} audio files in its annotations are not below {audio}: {shown}" if missing else ""
