"""A folder of audio files with annotations, such as DESED's tables: `filename onset offset event_label`.

A clip without events has one row with empty fields. Parts (train, validation, test) are one file each, a folder of
files, one for each recording, or a column of one table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from efficient_sed.audio.io import find_audio
from efficient_sed.config.data import DataConfig
from efficient_sed.config.values import ONE_OR_LIST
from efficient_sed.data.annotations.audio_names import named_as_audio
from efficient_sed.data.annotations.contract import Annotations
from efficient_sed.data.annotations.reading import NO_COLUMNS, read_annotations, read_parts_table
from efficient_sed.data.annotations.tables import SOFT_COLUMN
from efficient_sed.data.annotations.weak import read_weak_labels
from efficient_sed.data.events import PARTS, Event, Group, Splits
from efficient_sed.data.labels import alike_problem, audioset_labels, label_problem
from efficient_sed.data.parts import Files, read_parts
from efficient_sed.data.spelling import FolderNames, canonical, check_spellings
from efficient_sed.errors import DataError, nearest, require
from efficient_sed.registry import ANNOTATION_FORMATS, DATASETS

logger = logging.getLogger(__name__)
CLASS_LISTS: Mapping[str, Callable[[], tuple[str, ...]]] = {
    f"audioset_{which}": partial(audioset_labels, which) for which in ("strong", "weak")
}


@dataclass(frozen=True)
class ColumnNames:
    """Columns of tables of annotations that are named in no usual way."""

    filename: str | None = None
    """Column of the audio file. Default null: found by its usual names; a table without one is about the recording that
    it is called after."""
    onset: str | None = None
    """Column of the times in seconds at which events begin. Default null: found by its usual names."""
    offset: str | None = None
    """Column of the times in seconds at which events end. Default null: found by its usual names."""
    label: str | None = None
    """Column of the labels; in a TextGrid the tier that holds them. Default null: found by its usual names."""

    @property
    def given(self) -> dict[str, str]:
        """The names that are not null."""
        return {key: value for key, value in vars(self).items() if value is not None}


@DATASETS.register("folder")
@dataclass(frozen=True)
class FolderConfig(DataConfig):
    """Own recordings: audio under `root`/`audio`, annotations beside it."""

    location_keys: ClassVar[tuple[str, ...]] = ("root", "annotation_format", "columns")  # how it is read, not what
    root: str = "data"
    """Folder of the data set."""
    audio: str = "audio"
    """Folder of the audio files, relative to root; `filename` in the annotations is relative to it."""
    train: str | None = "train.tsv"
    """Annotations of the training part, relative to root: a file, or a folder with one for each recording, in any of
    the formats of `efficient-sed data convert`. `null`: all audio files that stand in no other part, unlabelled, for
    a teacher."""
    validation: str | None = "validation.tsv"
    """Annotations that choose the best epoch; `null` if nothing is trained."""
    test: str | None = "test.tsv"
    """Annotations that results are computed on; `null` if nothing is scored."""
    annotations: str | None = None
    """One file for all parts instead of three, with the part of each row in the column `split_column`."""
    split_column: str = "split"
    """Column with train, validation or test in each row of `annotations`."""
    weak: str | None = "weak.tsv"
    """Table of training files with labels of the whole file, relative to root: `filename` and `event_labels`, which are
    joined by commas. The default is used if it is there; `null`: none."""
    unlabelled: str | None = "unlabelled"
    """Folder of training files without labels, relative to root, for train.mean_teacher or another teacher. The
    default, or `unlabeled`, is used if it is there; `null`: none."""
    is_soft: bool = False
    """Whether the annotations have a column `confidence`, 0 to 1, that is the label of each event, as in MAESTRO Real;
    in scores an event counts from 0.5 on."""
    annotation_format: str | None = None
    """Format of the annotations, such as `raven`. Default null: recognised by what is in the files."""
    columns: ColumnNames = field(default_factory=ColumnNames)
    """Columns of tables that are named in no usual way."""
    classes: tuple[str, ...] | None = field(default=None, metadata={ONE_OR_LIST: True})
    """Labels in logit order, or audioset_strong or audioset_weak for those of AudioSet. Default null: all labels of the
    annotations, sorted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.classes is None or len(set(self.classes)) == len(self.classes) > 0,
            "data.classes",
            self.classes,
            "at least one label, none twice",
        )
        if self.annotation_format is not None:
            names = ANNOTATION_FORMATS.names()
            is_known = self.annotation_format in names
            require(is_known, "data.annotation_format", self.annotation_format, nearest(self.annotation_format, names))

    @property
    def has_labels(self) -> bool:
        """Whether training clips have labels; else a teacher gives the targets."""
        return self.annotations is not None or self.train is not None

    def load(self) -> Splits:
        """Read the clips and their events; see `DataConfig.load`."""
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(
                f"data.root={self.root}: no such directory; give the folder of your data set as data.root=DIR"
            )
        classes = self.classes and tuple(canonical(label.strip()) for label in self.classes)  # as in the annotations
        if classes is not None and len(classes) == 1 and classes[0] in CLASS_LISTS:
            classes = CLASS_LISTS[classes[0]]()
        channel, names = self.channel_number, FolderNames(root)
        audio = names.path(self.audio)
        files: Mapping[str, Path | None] | Path
        if self.annotations is None:
            files = {part: None if getattr(self, part) is None else names.path(getattr(self, part)) for part in PARTS}
        else:
            files = names.path(self.annotations)
        return read_folder(
            audio, files, classes, self.on_error, self.pool_size, self.split_column, channel, self.annotation_format,
            self.columns.given,
            is_soft=self.is_soft,
            weak=self._find(names, "weak", "weak.tsv"),
            unlabelled=self._find(names, "unlabelled", "unlabelled", "unlabeled"),
        )  # fmt: skip

    def _find(self, names: FolderNames, key: str, *defaults: str) -> Path | None:
        """Where `data.weak` or `data.unlabelled` lies; None if there is none, and none is asked for."""
        name: str | None = getattr(self, key)
        if name is None:
            return None
        is_default = name == defaults[0]
        paths = [names.path(spelling) for spelling in (defaults if is_default else (name,))]
        there = [path for path in paths if path.exists()]
        if not there and not is_default:
            raise DataError(f"data.{key}={name}: {paths[0]} is not there; it is relative to data.root")
        if len(there) > 1:
            raise DataError(f"{there[0]} and {there[1]} are both there; rename one, or name it: data.{key}=DIR")
        if there and key == "weak" and not self.has_labels:
            unused = "labels of whole files are not used with data.train=null, which takes none"
            if not is_default:
                raise DataError(f"data.weak={name}: {unused}; data.weak=null leaves them out")
            logger.warning("%s: %s", there[0], unused)
            return None
        return there[0] if there else None


def read_folder(
    audio: Path,
    annotations: Mapping[str, Path | None] | Path,
    classes: Sequence[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    num_workers: int = 2,
    split_column: str = "split",
    channel: int | None = None,
    annotation_format: str | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    *,
    is_soft: bool = False,
    weak: Path | None = None,
    unlabelled: Path | None = None,
) -> Splits:
    """Clips by part, durations read from the files.

    Args:
        audio: Folder of the audio files.
        annotations: One file or folder of files per part, or one table of all. A training part of None is all audio
            that is in no other part, unlabelled; another part of None is empty.
        classes: Allowed labels in logit order; default None, all that occur, sorted.
        on_error: "skip" leaves out files that cannot be opened and reports them in `Splits.skipped`.
        num_workers: Threads that read the headers of files.
        split_column: Column of a single table that names the part.
        channel: Of the files, counted from 1; default None, the mean of all.
        annotation_format: Of the annotations; default None, recognised by their content.
        columns: Names of columns by role, where they are not the usual ones.
        is_soft: Whether the tables have a column `confidence` that holds the labels.
        weak: Table of further training files with labels of whole files; default None, there are none.
        unlabelled: Folder of further training files without labels; default None, there are none.

    Raises:
        DataError: For a missing folder, file or column, a bad time or label, no training clip; the message names file
            and line.
    """
    if not audio.is_dir():
        raise DataError(f"{audio}: no such directory of audio files; name it, relative to data.root, as data.audio=DIR")
    skipped: list[str] = []
    columns = {**columns, **({"score": SOFT_COLUMN} if is_soft else {})}
    if isinstance(annotations, Path):
        table = read_parts_table(annotations, split_column, PARTS, annotation_format, columns)
        by_part = {part: _true_events(found, audio, annotations, is_soft=is_soft) for part, found in table.items()}
    else:
        by_part = {}
        for part, path in annotations.items():
            found = Annotations({}) if path is None else read_annotations(path, annotation_format, columns)
            by_part[part] = _true_events(found, audio, path or audio, is_soft=is_soft)
        if annotations["train"] is None:
            paths = find_audio(audio, skipped if on_error == "skip" else None)
            there = [path.relative_to(audio).as_posix() for path in paths]
            check_spellings(there, f"{audio}: ")
            elsewhere = {name for events in by_part.values() for name in events}
            by_part["train"] = {name: [] for name in map(canonical, there) if name not in elsewhere}
    labels = {event.label for clips in by_part.values() for events in clips.values() for event in events}
    if classes is None:
        classes = _found_classes(audio, labels)
    if problem := label_problem([*classes, *sorted(labels - set(classes))]):
        raise DataError(f"{audio}: in its annotations, {problem}")
    for label in sorted(labels - set(classes)):
        raise DataError(f"label {label!r} in the annotations is not in the class list; {nearest(label, classes)}")
    files = {} if isinstance(annotations, Path) else annotations
    may_be_empty = [part for part in ("validation", "test") if files.get(part, audio) is None]
    further = []
    if weak is not None:
        weak_events = named_as_audio(read_weak_labels(weak, classes), audio)
        further.append(Files(audio, weak_events, Group("weak", "weak"), str(weak)))
    if unlabelled is not None:
        paths = find_audio(unlabelled, skipped if on_error == "skip" else None)
        names = {path.relative_to(unlabelled).as_posix(): () for path in paths}
        further.append(Files(unlabelled, names, Group("unlabelled", "unlabelled"), str(unlabelled)))
    for source in further:
        logger.info("%s: %s %s training clips", source.where, f"{len(source.events):,}", source.group.kind)
    audio_of = dict.fromkeys(PARTS, audio)
    return read_parts(
        audio_of, by_part, classes, on_error, num_workers, may_be_empty, skipped, channel,
        kind="soft" if is_soft else "strong", further=further,
    )  # fmt: skip


def _found_classes(audio: Path, labels: Iterable[str]) -> list[str]:
    """All labels that occur, sorted; a DataError if there are none, or two are probably meant to be one."""
    classes = sorted(labels)
    if not classes:
        raise DataError(
            f"{audio}: the annotations hold no event, so there is nothing to learn; name the classes as "
            "data.classes=[…] if that is meant"
        )
    if alike := alike_problem(classes):
        advice = "write them alike, or name both in data.classes=[…] if they are two"
        raise DataError(f"{audio}: in its annotations, {alike}; {advice}")
    return classes


def _true_events(found: Annotations, audio: Path, path: Path, *, is_soft: bool) -> dict[str, list[Event]]:
    """Annotated events by audio file; each counts as fully there, or, if soft, by its score."""
    if found.has_scores and not is_soft:
        logger.info("%s: scores of its events are not used", path)
    if is_soft and not found.has_scores and any(found.events.values()):
        raise DataError(f"{path}: has no column {SOFT_COLUMN!r}, which data.is_soft=true takes as labels")
    named = named_as_audio(found.events, audio, path if path.is_dir() else None)
    if is_soft:
        return {name: [event for event in events if event.score > 0] for name, events in named.items()}
    return {name: [event._replace(score=1.0) for event in events] for name, events in named.items()}
