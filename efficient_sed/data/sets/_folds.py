"""Data sets that their authors divide into folds: what cross-validation needs of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from efficient_sed.config.data import DataConfig
from efficient_sed.data.annotations.tables import read_table, read_text
from efficient_sed.data.events import PARTS, Clip, Event, Splits
from efficient_sed.data.parts import read_parts
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError, nearest, require

Label = str | Sequence[Event]
"""Of a file: the one class that it has from beginning to end, or its events."""


@dataclass(frozen=True)
class FoldsConfig(DataConfig):
    """One fold is tested on, and the others are learnt from."""

    is_single_label: ClassVar[bool] = True
    title: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    num_folds: ClassVar[int]
    layout: ClassVar[str]
    """Contents of `root`, for error messages."""
    audio_folder: ClassVar[str] = "audio"
    """Folder of the audio files, relative to `root`."""

    root: str = "data"
    """Folder of the data set, as it is published."""
    fold: int = 1
    """The fold to test on; in a sweep `folds=all` takes each in turn."""
    has_validation_fold: bool = True
    """Choose the best epoch on the fold before the tested one (of the first: the last). `false` trains on that fold
    too, as published for ESC-50; the curves are then those of the test clips, so give train.select=last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.fold <= self.num_folds, "data.fold", self.fold, f"1 to {self.num_folds}")

    def class_list(self) -> tuple[str, ...]:
        """Labels in logit order."""
        return self.classes

    def read_labels(self, root: Path) -> Mapping[int, Mapping[str, Label]]:
        """Class or events of every file, by fold; file names are relative to `audio_folder`.

        Raises:
            DataError: For an index that cannot be read, or a row or name that makes no sense.
        """
        raise TypeError(f"{type(self).__name__} does not say how to read its labels")

    def read_index(self, path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Rows of a comma-separated index, each after the place it stands in.

        Raises:
            DataError: For a file that cannot be read, or a missing column.
        """
        text = read_text(path, f"data.root=DIR is the folder that holds {self.layout}")
        return read_table(path, text, columns)

    def load(self) -> Splits:
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(
                f"data.root={self.root}: no such directory; give the folder that holds {self.layout} of {self.title}"
            )
        by_fold = self.read_labels(root)
        chosen_on = (self.fold - 2) % self.num_folds + 1 if self.has_validation_fold else None
        labels: dict[str, dict[str, Label]] = {part: {} for part in PARTS}
        for fold, names in by_fold.items():
            labels["test" if fold == self.fold else "validation" if fold == chosen_on else "train"] |= names
        files: dict[str, dict[str, Sequence[Event]]] = {
            part: {name: [] if isinstance(label, str) else label for name, label in labels[part].items()}
            for part in PARTS
        }
        may_be_empty = () if self.has_validation_fold else ("validation",)
        splits = read_parts(
            dict.fromkeys(PARTS, root / self.audio_folder),
            files,
            self.class_list(),
            self.on_error,
            self.pool_size,
            may_be_empty,
            channel=self.channel_number,
        )
        train, validation, test = (
            tuple(_whole(clip, labels[part][clip.id]) for clip in getattr(splits, part)) for part in PARTS
        )
        return replace(splits, train=train, validation=validation or test, test=test, has_folds=True)


def _whole(clip: Clip, label: Label) -> Clip:
    return replace(clip, events=(Event(0.0, clip.duration_s, label),)) if isinstance(label, str) else clip


def add_file(by_fold: dict[int, dict[str, str]], place: str, fold: int, name: str, label: str) -> None:
    """Add a file to its fold; raise a DataError if it has no name or was added before."""
    if not name:
        raise DataError(f"{place}: the file name is empty")
    name = canonical(name)
    if any(name in names for names in by_fold.values()):
        raise DataError(f"{place}: {name} is listed a second time; a file belongs to one fold and one class")
    by_fold.setdefault(fold, {})[name] = label


def read_fold(place: str, value: str, num_folds: int) -> int:
    """Parse a fold's number; raise a DataError if it is none."""
    if value not in map(str, range(1, num_folds + 1)):
        raise DataError(f"{place}: fold={value!r} is not 1 to {num_folds}")
    return int(value)


def check_class(place: str, columns: tuple[str, str], label: str, number: str, classes: Sequence[str]) -> None:
    """Raise a DataError for a class that is unknown or has another number; `columns` are those of label and number."""
    if label not in classes:
        raise DataError(
            f"{place}: {columns[0]}={label!r} is not one of the {len(classes)} classes; {nearest(label, classes)}"
        )
    if str(classes.index(label)) != number:
        raise DataError(
            f"{place}: {columns[1]}={number!r} does not belong to {columns[0]}={label!r}, whose number is "
            f"{classes.index(label)}"
        )
