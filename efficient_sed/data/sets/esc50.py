"""ESC-50: 2,000 clips of five seconds, 40 of each of 50 classes of environmental sounds, in five folds.

Piczak, "ESC: dataset for environmental sound classification", ACM MM 2015 (https://doi.org/10.1145/2733373.2806390).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from efficient_sed.data.sets._folds import FoldsConfig, add_file, check_class, read_fold
from efficient_sed.registry import DATASETS

COLUMNS = ("filename", "fold", "target", "category")


@DATASETS.register("esc50")
@dataclass(frozen=True)
class Esc50Config(FoldsConfig):
    """The published folder: meta/esc50.csv, audio/."""

    title: ClassVar[str] = "ESC-50"
    classes: ClassVar[tuple[str, ...]] = (
        "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow",
        "rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind", "pouring_water",
        "toilet_flush", "thunderstorm",
        "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing", "brushing_teeth",
        "snoring", "drinking_sipping",
        "door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening", "washing_machine",
        "vacuum_cleaner", "clock_alarm", "clock_tick",
        "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells", "airplane",
        "fireworks", "hand_saw",
    )  # fmt: skip
    num_folds: ClassVar[int] = 5
    layout: ClassVar[str] = "meta/ and audio/"

    fold: int = 1
    """The fold to test on, 1 to 5; in a sweep `folds=all` takes each in turn."""
    clip_seconds: float = 5.0
    """Training clips are cropped at random or zero-padded to this length; longer files are evaluated in windows."""

    def read_labels(self, root: Path) -> Mapping[int, Mapping[str, str]]:
        """Label of each file, by fold."""
        by_fold: dict[int, dict[str, str]] = {}
        for place, row in self.read_index(root / "meta" / "esc50.csv", COLUMNS):
            fold = read_fold(place, row["fold"], self.num_folds)
            check_class(place, ("category", "target"), row["category"], row["target"], self.classes)
            add_file(by_fold, place, fold, row["filename"], row["category"])
        return by_fold
