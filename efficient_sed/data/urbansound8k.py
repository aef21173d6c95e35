"""UrbanSound8K: 8,732 clips of up to four seconds, one of ten classes each, in ten folds.

Salamon et al., "A dataset and taxonomy for urban sound research", ACM MM 2014 (https://doi.org/10.1145/2647868.2655045). For task=tagging:
each clip is one event of its class from beginning to end.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from efficient_sed.config.schema import DataConfig, require
from efficient_sed.data.events import PARTS, Clip, Event, Splits
from efficient_sed.data.folder import read_parts
from efficient_sed.errors import DataError, nearest
from efficient_sed.registry import DATASETS

CLASSES = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot", "jackhammer", "siren", "street_music")
NUM_FOLDS, LONGEST_S = 10, 4.0
COLUMNS = ("slice_file_name", "fold", "classID", "class")


@DATASETS.register("urbansound8k")
@dataclass(frozen=True)
class UrbanSound8kConfig(DataConfig):
    """The published folder: metadata/UrbanSound8K.csv, audio/fold1/ to audio/fold10/."""

    is_single_label: ClassVar[bool] = True

    root: str = "data"
    """Folder that holds metadata/ and audio/."""
    fold: int = 10
    """The fold to test on, 1 to 10; the one before it (of 1: 10) chooses the best epoch, the rest is trained on."""
    clip_seconds: float = LONGEST_S
    """Shorter clips are padded with silence to this length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.fold <= NUM_FOLDS, "data.fold", self.fold, f"1 to {NUM_FOLDS}")

    def load(self) -> Splits:
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(f"data.root={self.root}: no such directory; give the folder that holds metadata/ and audio/ of UrbanSound8K")
        by_fold = read_metadata(root / "metadata" / "UrbanSound8K.csv")
        validation = (self.fold - 2) % NUM_FOLDS + 1
        part_of = {fold: "test" if fold == self.fold else "validation" if fold == validation else "train" for fold in by_fold}
        labels: dict[str, dict[str, str]] = {part: {} for part in PARTS}
        for fold, names in by_fold.items():
            labels[part_of[fold]] |= {f"fold{fold}/{name}": label for name, label in names.items()}
        files: dict[str, dict[str, list[Event]]] = {part: {name: [] for name in labels[part]} for part in PARTS}
        splits = read_parts(dict.fromkeys(PARTS, root / "audio"), files, CLASSES, self.on_error, self.num_workers)
        train, validated, test = (tuple(_whole(clip, labels[part][clip.id]) for clip in getattr(splits, part)) for part in PARTS)
        return replace(splits, train=train, validation=validated, test=test)


def _whole(clip: Clip, label: str) -> Clip:
    return replace(clip, events=(Event(0.0, clip.duration_s, label),))


def read_metadata(path: Path) -> dict[int, dict[str, str]]:
    """Label by file name, by fold.

    Raises:
        DataError: For a missing file or column, or a row that makes no sense; with its line number.
    """
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'}); data.root=DIR is the folder that holds metadata/ and audio/") from error
    for column in COLUMNS:
        if column not in (reader.fieldnames or ()):
            raise DataError(f"{path}: column {column!r} is missing; found: {', '.join(reader.fieldnames or ()) or 'nothing'}")
    by_fold: dict[int, dict[str, str]] = {}
    for row in reader:
        place = f"{path}:{reader.line_num}"
        if row["fold"] not in map(str, range(1, NUM_FOLDS + 1)):
            raise DataError(f"{place}: fold={row['fold']!r} is not 1 to {NUM_FOLDS}")
        if row["class"] not in CLASSES:
            raise DataError(f"{place}: class={row['class']!r} is not one of the {len(CLASSES)} classes; {nearest(str(row['class']), CLASSES)}")
        if str(CLASSES.index(row["class"])) != row["classID"]:
            raise DataError(f"{place}: classID={row['classID']!r} does not belong to class={row['class']!r}, whose number is {CLASSES.index(row['class'])}")
        if not row["slice_file_name"]:
            raise DataError(f"{place}: the file name is empty")
        by_fold.setdefault(int(row["fold"]), {})[row["slice_file_name"]] = row["class"]
    return by_fold
