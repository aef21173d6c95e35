"""DCASE 2016 Task 2, 11 sounds of an office in recordings of two minutes, in the layout of the HEAR benchmark.

Mesaros et al., "Detection and classification of acoustic scenes and events: outcome of the DCASE 2016 challenge", 2018
(https://doi.org/10.1109/TASLP.2017.2778423); HEAR: https://arxiv.org/abs/2203.03022. Scored as there, PSDS1 beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.data import DataConfig
from efficient_sed.data.annotations.tables import check_hard, read_table, read_text, soft_columns
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.labels import label_problem
from efficient_sed.data.parts import read_parts
from efficient_sed.data.spelling import canonical, check_spellings
from efficient_sed.errors import DataError, nearest
from efficient_sed.files.folders import list_folder
from efficient_sed.files.json import parse_json
from efficient_sed.registry import DATASETS

FILES = {"train": "train", "validation": "valid", "test": "test"}
"""Names of the parts in HEAR."""
VOCABULARY = "labelvocabulary.csv"
LAYOUT = "data.root=DIR is the folder that holds it in HEAR's layout"


@DATASETS.register("dcase2016_task2")
@dataclass(frozen=True)
class Dcase2016Task2Config(DataConfig):
    """HEAR's folder: train.json, valid.json, test.json, labelvocabulary.csv, audio below 16000/ or a higher rate."""

    has_event_scores: ClassVar[bool] = True

    root: str = "data"
    """Folder of the data set."""
    median_frames: int = 7
    """Window of the median filter on scores, in the model's frames (40 ms for fmn); odd. Event scores have their own,
    HEAR's 250 ms."""

    def load(self) -> Splits:
        """Read the clips and their events; see `DataConfig.load`."""
        root = Path(self.root)
        if not root.is_dir():
            advice = "give the folder that holds HEAR's train.json as data.root=DIR"
            raise DataError(f"data.root={self.root}: no such directory; {advice}")
        classes = read_vocabulary(root / VOCABULARY)
        events = {part: read_events(root / f"{name}.json", classes) for part, name in FILES.items()}
        audio = audio_folder(root)
        return read_parts(
            {part: audio / name for part, name in FILES.items()},
            events,
            classes,
            self.on_error,
            self.pool_size,
            channel=self.channel_number,
        )


def audio_folder(root: Path) -> Path:
    """Find the folder of the audio files at 16 kHz, or at the lowest higher rate.

    Raises:
        DataError: If there is none, or the data set's folder cannot be read.
    """
    numbers = [int(path.name) for path in list_folder(root) if path.is_dir() and path.name.isdecimal()]
    rates = sorted(number for number in numbers if number >= SAMPLE_RATE)
    if not rates:
        raise DataError(f"{root}: no folder {SAMPLE_RATE}/ (or 48000/ and the like) of audio files in it")
    return root / str(rates[0])


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Labels in order of their index.

    Raises:
        DataError: For a missing file or column, or indices and labels that are not one to one; with the line number.
    """
    labels: dict[int, str] = {}
    for place, row in read_table(path, read_text(path, LAYOUT), ("idx", "label"), ": idx,label"):
        index, label = row["idx"], canonical(row["label"])
        if not (index.isdecimal() and len(index) < 10):
            raise DataError(f"{place}: idx={index!r} is not a whole number from 0")
        if int(index) in labels:
            raise DataError(f"{place}: idx={index} stands there twice, for {labels[int(index)]!r} and {label!r}")
        if not label or label in labels.values():
            raise DataError(f"{place}: label={label!r} {'stands there twice' if label else 'is empty'}")
        labels[int(index)] = label
    if not labels:
        raise DataError(f"{path}: holds no label")
    if problem := label_problem(list(labels.values())):
        raise DataError(f"{path}: {problem}")
    if missing := set(range(len(labels))) - labels.keys():
        raise DataError(
            f"{path}: idx={min(missing)} is missing; {len(labels)} labels are counted from 0 to {len(labels) - 1}"
        )
    return tuple(labels[index] for index in range(len(labels)))


def read_events(path: Path, classes: Collection[str]) -> dict[str, list[Event]]:
    """Events by file name.

    Raises:
        DataError: For a missing or damaged file, or an entry that makes no sense; the message names file and entry.
    """
    try:
        content = parse_json(read_text(path, LAYOUT), lambda pairs: _without_repeats(path, pairs))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(entries, list) for entries in content.values()):
        raise DataError(f"{path}: must hold {{file name: [event, …]}}")
    check_spellings(content, f"{path}: ")
    events = {}
    for name, entries in content.items():
        places = [f"{path}: {name}, event {number}" for number in range(1, len(entries) + 1)]
        events[canonical(name)] = [_event(entry, place, classes) for entry, place in zip(entries, places, strict=True)]
    return events


def _without_repeats(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise DataError(f"{path}: {next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return content


def _event(entry: Any, place: str, classes: Collection[str]) -> Event:
    if not isinstance(entry, dict) or not {"label", "start", "end"} <= entry.keys():
        raise DataError(f"{place}: {json.dumps(entry, ensure_ascii=False)} has not all of label, start and end")
    for column in soft_columns(list(entry)):
        check_hard(place, column, entry[column])
    label, start, end = entry["label"], entry["start"], entry["end"]
    label = canonical(label) if isinstance(label, str) else label
    if label not in classes:
        raise DataError(f"{place}: label {label!r} is not in {VOCABULARY}; {nearest(str(label), classes)}")
    if not all(
        isinstance(time, int | float) and not isinstance(time, bool) and math.isfinite(time) for time in (start, end)
    ):
        raise DataError(f"{place}: start={start!r}, end={end!r} are not milliseconds")
    if not 0 <= start < end:
        raise DataError(f"{place}: start={start:g} must be at least 0 and before end={end:g}")
    return Event(start / 1000, end / 1000, label)
