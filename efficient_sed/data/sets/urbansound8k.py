"""UrbanSound8K: 8,732 clips of up to four seconds, one of ten classes each, in ten folds.

Salamon et al., "A dataset and taxonomy for urban sound research", ACM MM 2014
(https://doi.org/10.1145/2647868.2655045).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from efficient_sed.data.sets._folds import FoldsConfig, add_file, check_class, read_fold
from efficient_sed.errors import DataError
from efficient_sed.registry import DATASETS

COLUMNS = ("slice_file_name", "fold", "classID", "class")


@DATASETS.register("urbansound8k")
@dataclass(frozen=True)
class UrbanSound8kConfig(FoldsConfig):
    """The published folder: metadata/UrbanSound8K.csv, audio/fold1/ to audio/fold10/."""

    title: ClassVar[str] = "UrbanSound8K"
    classes: ClassVar[tuple[str, ...]] = (
        "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot",
        "jackhammer", "siren", "street_music",
    )  # fmt: skip
    num_folds: ClassVar[int] = 10
    layout: ClassVar[str] = "metadata/ and audio/"

    fold: int = 10
    """The fold to test on, 1 to 10; in a sweep `folds=all` takes each in turn."""
    clip_seconds: float = 4.0
    """Shorter clips are padded with silence to this length."""

    def read_labels(self, root: Path) -> Mapping[int, Mapping[str, str]]:
        """Label of each file, by fold."""
        by_fold: dict[int, dict[str, str]] = {}
        first: dict[str, int] = {}  # fold of each recording, which a slice's name begins with
        for place, row in self.read_index(root / "metadata" / "UrbanSound8K.csv", COLUMNS):
            fold = read_fold(place, row["fold"], self.num_folds)
            check_class(place, ("class", "classID"), row["class"], row["classID"], self.classes)
            name = row["slice_file_name"] and f"fold{fold}/{row['slice_file_name']}"
            recording = row["slice_file_name"].split("-")[0]
            if first.setdefault(recording, fold) != fold:
                raise DataError(
                    f"{place}: {row['slice_file_name']} is of recording {recording}, which fold {first[recording]} "
                    "holds, too; a recording belongs to one fold"
                )
            add_file(by_fold, place, fold, name, row["class"])
        return by_fold
