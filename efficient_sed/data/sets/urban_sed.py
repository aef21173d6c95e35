"""URBAN-SED: 10,000 synthetic soundscapes of ten seconds with sounds of ten classes of UrbanSound8K.

Salamon et al., "Scaper: a library for soundscape synthesis and augmentation", WASPAA 2017
(https://doi.org/10.1109/WASPAA.2017.8170052; data: https://zenodo.org/record/1324404). Annotations are JAMS files in
the namespace of Scaper.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from efficient_sed.config.data import DataConfig
from efficient_sed.data.annotations.tables import read_text
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.sets._text import check_label
from efficient_sed.data.sets.folder import read_parts
from efficient_sed.errors import DataError
from efficient_sed.files.folders import list_folder
from efficient_sed.files.json import parse_json
from efficient_sed.registry import DATASETS

CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot",
    "jackhammer", "siren", "street_music",
)  # fmt: skip
FOLDERS = {"train": "train", "validation": "validate", "test": "test"}
EXPECTED = {"train": 6000, "validation": 2000, "test": 2000}
NAMESPACES = ("scaper", "sound_event")  # of Scaper, now and before its version 1


@DATASETS.register("urban_sed")
@dataclass(frozen=True)
class UrbanSedConfig(DataConfig):
    """The published folder: audio/ and annotations/, each with train/, validate/ and test/."""

    root: str = "data"
    """Folder that holds audio/ and annotations/ (URBAN-SED_v2.0.0)."""

    def load(self) -> Splits:
        """Read the clips and their events; see `DataConfig.load`."""
        root = Path(self.root)
        paths = {part: _jams_files(root, folder) for part, folder in FOLDERS.items()}
        with ThreadPoolExecutor(max_workers=max(1, self.pool_size)) as pool:
            events = {
                part: dict(zip((f"{path.stem}.wav" for path in own), pool.map(read_scaper, own), strict=True))
                for part, own in paths.items()
            }
        audio = {part: root / "audio" / folder for part, folder in FOLDERS.items()}
        splits = read_parts(audio, events, CLASSES, self.on_error, self.pool_size, channel=self.channel_number)
        return replace(splits, expected=EXPECTED)


def _jams_files(root: Path, folder: str) -> list[Path]:
    annotations = root / "annotations" / folder
    if not annotations.is_dir():
        raise DataError(
            f"{annotations}: no such directory; data.root=DIR is the folder that holds audio/ and annotations/ of "
            "URBAN-SED, each with train/, validate/ and test/"
        )
    found = [path for path in list_folder(annotations) if path.suffix == ".jams"]
    if not found:
        raise DataError(f"{annotations}: no JAMS file in it; expected names such as soundscape_{folder}_uniform0.jams")
    return found


def read_scaper(path: Path) -> list[Event]:
    """Foreground events of a JAMS file of Scaper.

    Raises:
        DataError: If it is not JSON, of another namespace, or an observation makes no sense.
    """
    try:
        content = parse_json(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        raise DataError(f'{path}: no JAMS file: "annotations" must be a list')
    own = [each.get("data") for each in annotations if each.get("namespace") in NAMESPACES]
    if not own:
        found = ", ".join(repr(each.get("namespace")) for each in annotations) or "none"
        raise DataError(f"{path}: has no annotation in the namespace {NAMESPACES[0]!r}; found: {found}")
    if not isinstance(own[0], list):
        raise DataError(f'{path}: the "data" of its annotation is no list of observations')
    events = (_event(each, f"{path}: observation {number}") for number, each in enumerate(own[0], 1))
    return [event for event in events if event is not None]


def _event(observation: Any, place: str) -> Event | None:
    """The event of an observation; None for a background."""
    value = observation.get("value") if isinstance(observation, dict) else None
    if not isinstance(value, Mapping) or not {"label", "role"} <= value.keys():
        raise DataError(f"{place}: its value has not both label and role, as Scaper writes them")
    if value["role"] == "background":
        return None
    onset, duration = observation.get("time"), observation.get("duration")
    if not all(_is_number(each) for each in (onset, duration)) or onset < 0 or duration <= 0:
        raise DataError(f"{place}: time={onset!r} and duration={duration!r} are not seconds of an event")
    check_label(place, str(value["label"]), CLASSES)
    return Event(float(onset), float(onset + duration), value["label"])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
