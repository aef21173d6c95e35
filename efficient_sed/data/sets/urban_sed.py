"""URBAN-SED: 10,000 synthetic soundscapes of ten seconds with sounds of ten classes of UrbanSound8K.

Salamon et al., "Scaper: a library for soundscape synthesis and augmentation", WASPAA 2017
(https://doi.org/10.1109/WASPAA.2017.8170052; data: https://zenodo.org/record/1324404). Annotations are JAMS files in
the namespace of Scaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from efficient_sed.config.data import DataConfig
from efficient_sed.data.annotations.contract import find_format
from efficient_sed.data.annotations.reading import open_source
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.parts import read_parts
from efficient_sed.data.sets._text import check_label
from efficient_sed.errors import DataError
from efficient_sed.files.folders import list_folder
from efficient_sed.registry import DATASETS

CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot",
    "jackhammer", "siren", "street_music",
)  # fmt: skip
FOLDERS = {"train": "train", "validation": "validate", "test": "test"}
EXPECTED = {"train": 6000, "validation": 2000, "test": 2000}


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


def read_scaper(path: Path) -> Sequence[Event]:
    """Foreground events of a JAMS file of Scaper; raise a DataError if it makes no sense, or for another class."""
    (events,) = find_format("jams").parse(open_source(path)).events.values()
    for event in events:
        check_label(str(path), event.label, CLASSES)
    return events
