"""MAESTRO Real: recordings of minutes of five kinds of places, with soft labels of 17 classes for each second.

Martín-Morató and Mesaros, "Strong labeling of sound events using crowdsourced weak labels and annotator competence
estimation", TASLP 2023 (https://doi.org/10.1109/TASLP.2022.3233468). A label is the share, from 0 to 1, in which
annotators heard the class. Recordings are shared out as in the baseline of DCASE 2024 Task 4
(https://github.com/DCASE-REPO/DESED_task, recipes/dcase2024_task4_baseline): 28 are trained on, five, drawn with its
seed, choose the epoch, 16 are tested on, by eleven of the classes. For metrics a class sounds where its label is 0.5 or
more.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from efficient_sed.config.data import DataConfig
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.annotations.tables import SOFT_COLUMN
from efficient_sed.data.events import PARTS, Clip, Event, Splits, overhang_notes
from efficient_sed.data.sets._subsets import Subset, join_splits, read_subset
from efficient_sed.data.sets._text import check_label, read_rows
from efficient_sed.data.sets.tut_sed_synthetic_2016 import cut_clip
from efficient_sed.errors import DataError
from efficient_sed.files.folders import list_folder
from efficient_sed.registry import DATASETS

logger = logging.getLogger(__name__)
CLASSES = (
    "cutlery and dishes", "furniture dragging", "people talking", "children voices", "coffee machine", "footsteps",
    "large_vehicle", "car", "brakes_squeaking", "cash register beeping", "announcement", "shopping cart",
    "metro leaving", "metro approaching", "door opens/closes", "wind_blowing", "birds_singing",
)  # fmt: skip
EVALUATED = (
    "birds_singing", "car", "people talking", "footsteps", "children voices", "wind_blowing", "brakes_squeaking",
    "large_vehicle", "cutlery and dishes", "metro approaching", "metro leaving",
)  # fmt: skip
RECORDINGS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "cafe_restaurant": {"train": (0, 1, 6, 7, 8, 10, 12), "test": (3, 9, 14)},
    "city_center": {"train": (0, 1, 5, 7, 8, 9, 14), "test": (2, 3, 11)},
    "grocery_store": {"train": (0, 1, 2, 6, 9, 12), "test": (7, 10, 11)},
    "metro_station": {"train": (0, 1, 4, 7, 9, 11), "test": (6, 12, 13)},
    "residential_area": {"train": (2, 3, 7, 9, 10, 11, 14), "test": (4, 8, 13, 16)},
}
"""Numbers of the published recordings by place; those for validation are among the ones to train on."""
VALIDATION = ("cafe_restaurant_12", "city_center_08", "grocery_store_02", "metro_station_09", "residential_area_03")
PUBLISHED, PREPARED = "development_audio/ and development_annotation/", "audio/ and metadata/maestro_real_train.tsv"
BASES = ("", "MAESTRO_original/maestro_dev")
"""Folders below the root that hold what is published; the second in the baseline's copy."""
PIECE_HUNDREDTHS = 1000  # ten seconds
_PIECE = re.compile(r"(?P<recording>.+)-(?P<first>\d{6})-(?P<last>\d{6})$")  # hundredths of a second


@DATASETS.register("maestro_real")
@dataclass(frozen=True)
class MaestroRealConfig(DataConfig):
    """The published folder, or tables with the columns `filename onset offset event_label confidence`.

    Published are development_audio/PLACE/ and development_annotation/soft_labels_PLACE/. The baseline of DCASE 2024
    writes pieces of ten seconds, audio/maestro_real_train/ and audio/maestro_real_validation/ (perhaps ending in _16k),
    each with its table in metadata/; the second one is tested on.
    """

    root: str = "data"
    """Folder that holds development_audio/, or audio/ and metadata/."""
    clip_seconds: float = 10.0
    """Length of the pieces that the training recordings are cut into, and of the overlapping windows that the others
    are scored in."""
    median_frames: int = 1
    """Window of the median filter on the scores, in the model's frames; odd."""

    def load(self) -> Splits:
        """Read the clips and their labels; see `DataConfig.load`."""
        splits = read_maestro(Path(self.root), self)
        for note in overhang_notes(splits):
            logger.info("%s: %s", self.root, note)
        return replace(splits, evaluated_classes=EVALUATED)


def read_maestro(root: Path, config: DataConfig, key: str = "data.root") -> Splits:
    """Clips with soft labels by part: pieces to train on, whole recordings elsewhere.

    Args:
        root: See `MaestroRealConfig`.
        config: The data set's options.
        key: The option that names the folder, for messages.

    Raises:
        DataError: If the folder is another one, a label is no number from 0 to 1, or as `read_subset`.
    """
    published = next((path for name in BASES if (path := root / name / "development_audio").is_dir()), None)
    if published is not None:
        found = _read_published(published, config)
    elif (root / "metadata" / "maestro_real_train.tsv").is_file():
        found = _read_prepared(root, config)
    else:
        lack = "nothing of MAESTRO Real in it" if root.is_dir() else "no such directory"
        raise DataError(f"{key}={root}: {lack}; give the folder that holds {PUBLISHED}, or {PREPARED}")
    splits = join_splits(CLASSES, found)
    train = tuple(piece for clip in splits.train for piece in _pieces(clip, config.clip_seconds))
    return replace(splits, train=train)


def _read_published(audio: Path, config: DataConfig) -> list[Splits]:
    labels: dict[str, dict[str, list[Event]]] = {part: {} for part in PARTS}
    parts = {
        name: "validation" if name in VALIDATION else part
        for place, own in RECORDINGS.items()
        for part, numbers in own.items()
        for name in (f"{place}_{number:02}" for number in numbers)
    }
    for place in RECORDINGS:
        folder = audio.parent / "development_annotation" / f"soft_labels_{place}"
        for path in list_folder(folder) if folder.is_dir() else ():
            if path.suffix != ".txt":
                continue
            if path.stem not in parts:
                raise DataError(f"{path}: is none of the {len(parts)} recordings that are published; remove it")
            events = [event for event in read_rows(path, CLASSES, has_confidence=True) if event.score > 0]
            labels[parts[path.stem]][f"{place}/{path.stem}.wav"] = events
    expected = Counter(parts.values())
    return [_read(part, audio, labels[part], expected[part], config) for part in PARTS]


def _read_prepared(root: Path, config: DataConfig) -> list[Splits]:
    found = []
    for table in ("train", "validation"):
        labels = read_soft_labels(root / "metadata" / f"maestro_real_{table}.tsv")
        folders = [root / "audio" / f"maestro_real_{table}{ending}" for ending in ("", "_16k")]
        folder = next((path for path in folders if path.is_dir()), folders[0])
        chosen = {name: own for name, own in labels.items() if recording(name) in VALIDATION}
        parts = {"test": labels} if table == "validation" else {
            "train": {name: own for name, own in labels.items() if name not in chosen}, "validation": chosen,
        }  # fmt: skip
        for part, own in parts.items():
            kept = own if part == "train" else {name: events for name, events in own.items() if _is_apart(name)}
            found.append(_read(part, folder, kept, len(kept), config))
    return found


def _read(part: str, folder: Path, labels: Mapping[str, Sequence[Event]], expected: int, config: DataConfig) -> Splits:
    name = "maestro" if part == "train" else f"maestro_{part}"
    return read_subset(Subset(name, "soft", part, expected, ""), folder, labels, CLASSES, config)


def read_soft_labels(path: Path) -> Mapping[str, Sequence[Event]]:
    """Events by file name, with their labels as scores; raise a DataError for a row that makes no sense."""
    events = read_annotations(path, "tsv", {"score": SOFT_COLUMN}).events
    for name, own in events.items():
        for event in own:
            check_label(f"{path}: {name}", event.label, CLASSES)
    return {name: [event for event in own if event.score > 0] for name, own in events.items()}


def recording(name: str) -> str:
    """Name of the recording that a file is, or is a piece of."""
    stem = PurePosixPath(name).stem
    piece = _PIECE.match(stem)
    return piece["recording"] if piece else stem


def _is_apart(name: str) -> bool:
    """Whether a file is whole, or a piece of those that do not overlap: one begins each second, and lasts for ten."""
    piece = _PIECE.match(PurePosixPath(name).stem)
    return piece is None or int(piece["first"]) % PIECE_HUNDREDTHS == 0


def _pieces(clip: Clip, seconds: float) -> list[Clip]:
    return [clip] if clip.duration_s <= seconds else cut_clip(clip, seconds)
