"""Synthetic soundscapes: real FLAC files and annotations, made from a seed and read back as a `folder` data set.

In the style of TUT-SED Synthetic 2016: polyphony up to five, background noise, strong class imbalance. Some classes
differ in their spectrum, some in rhythm or contour over seconds; some last 50 ms, some many seconds. A train of pulses
is one event with its gaps, so that a model without context cuts it to pieces.

No event is ever repeated: every one is drawn anew from a random stream that belongs to (stream, seed, part, clip).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.data import DataConfig
from efficient_sed.config.values import MAX_CLIP_SECONDS
from efficient_sed.data.events import PARTS, Event, Splits
from efficient_sed.data.mixing.noise import coloured_noise
from efficient_sed.data.mixing.place import Rng, add_sounds, place_sounds, set_level
from efficient_sed.data.mixing.write import write_scenes
from efficient_sed.data.sets.folder import read_folder
from efficient_sed.data.sounds import SOUND_CLASSES, GeneratedSound
from efficient_sed.errors import DataError, require
from efficient_sed.files.atomic_folder import write_folder
from efficient_sed.registry import DATASETS

GENERATOR_VERSION = 1  # part of the folder's name: raise it when the same settings would give other audio
MAX_POLYPHONY = 5
MAX_SCENES = 1_000_000  # of a part; of ten seconds a hundred gigabytes
LEVEL_DB = (-20.0, -3.0)  # of a scene's peak
STREAMS = {"benchmark": 0, "pretraining": 1}
# rare classes need enough events for a steady mean over classes
IMBALANCE = {"train": 1.0, "validation": 0.5, "test": 0.5}


@dataclass(frozen=True)
class Scene:
    """Settings of every soundscape of a part."""

    scene_seconds: float
    min_snr_db: float
    max_snr_db: float
    imbalance: float
    """Exponent on the class weights: 1 as listed, 0 all classes alike."""


def synthesise_scene(rng: Rng, scene: Scene) -> tuple[np.ndarray, list[Event]]:
    """One soundscape: samples at 16 kHz, float32 in [-1, 1], and its events.

    The signal-to-noise ratio of an event is that of its own mean power over the background's.
    """
    mix = coloured_noise(rng, int(scene.scene_seconds * SAMPLE_RATE))
    power = np.mean(mix**2)
    labels = list(SOUND_CLASSES)
    weights = np.array([SOUND_CLASSES[label].weight for label in labels]) ** scene.imbalance
    count = math.ceil(rng.integers(2, 10) * scene.scene_seconds / 10)
    sounds = (GeneratedSound(labels[rng.choice(len(labels), p=weights / weights.sum())]) for _ in range(count))
    placed = place_sounds(rng, sounds, scene.scene_seconds, MAX_POLYPHONY)
    events = add_sounds(rng, mix, placed, power, (scene.min_snr_db, scene.max_snr_db))
    return set_level(rng, mix, LEVEL_DB), sorted(events)


@DATASETS.register("synthetic")
@dataclass(frozen=True)
class SyntheticConfig(DataConfig):
    """Soundscapes of generated sounds, written once and kept under `root`."""

    root: str = "datasets"
    """Folder that holds generated data sets."""
    stream: Literal["benchmark", "pretraining"] = "benchmark"
    """Random streams that share no event: what backbones are pre-trained on is never what models are compared on."""
    seed: int = 0
    """Seed of the random streams, 0 or more; another seed gives other soundscapes."""
    num_train: int = 400
    """Soundscapes in the training part, 1 to 1000000."""
    num_validation: int = 60
    """Soundscapes in the validation part, 1 to 1000000."""
    num_test: int = 200
    """Soundscapes in the test part, 1 to 1000000."""
    scene_seconds: float = 10.0
    """Length of a soundscape in seconds, 3 to 3600."""
    min_snr_db: float = -3.0
    """Lowest signal-to-noise ratio of an event in dB."""
    max_snr_db: float = 20.0
    """Highest signal-to-noise ratio of an event in dB."""
    median_frames: int = 1
    """No filter: a window of three frames already erases clicks of 50 ms."""

    SCENE_KEYS: ClassVar[tuple[str, ...]] = (
        "stream", "seed", "num_train", "num_validation", "num_test", "scene_seconds", "min_snr_db", "max_snr_db",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.channel is None, "data.channel", self.channel, "synthetic scenes have one channel")
        for key in ("num_train", "num_validation", "num_test"):
            value = getattr(self, key)
            require(1 <= value <= MAX_SCENES, f"data.{key}", value, f"1 to {MAX_SCENES} scenes")
        require(self.seed >= 0, "data.seed", self.seed, "0 or more")
        seconds, largest_db = self.scene_seconds, f"at most data.max_snr_db={self.max_snr_db}"
        is_length = 3.0 <= seconds <= MAX_CLIP_SECONDS
        require(is_length, "data.scene_seconds", f"{seconds:g}", f"3 to {MAX_CLIP_SECONDS} seconds")
        require(self.min_snr_db <= self.max_snr_db, "data.min_snr_db", self.min_snr_db, largest_db)

    @property
    def folder(self) -> Path:
        """Folder of the generated data set; its name holds the settings."""
        return Path(self.root) / (
            f"synthetic_v{GENERATOR_VERSION}_{self.stream}_seed{self.seed}"
            f"_{self.num_train}-{self.num_validation}-{self.num_test}"
            f"x{self.scene_seconds:g}s_snr{self.min_snr_db:g}to{self.max_snr_db:g}"
        )

    def identity(self) -> dict[str, Any]:
        """As `DataConfig.identity`, without the folder: the same settings give the same data."""
        values = {key: value for key, value in super().identity().items() if key != "root"}
        return {**values, "generator": GENERATOR_VERSION}

    def load(self) -> Splits:
        """Read the clips and their events; see `DataConfig.load`."""
        if not self.folder.is_dir():
            if (Path(self.root) / "audio").is_dir() or any(Path(self.root).glob("*.tsv")):
                raise DataError(
                    f"data.root={self.root}: holds recordings of yours, generated ones would be written beside them; "
                    "did you mean data=folder?"
                )
            write_synthetic(self)
        return read_folder(
            self.folder / "audio",
            {part: self.folder / f"{part}.tsv" for part in PARTS},
            classes=tuple(SOUND_CLASSES),
            on_error=self.on_error,
            num_workers=self.pool_size,
            annotation_format="tsv",
        )


def write_synthetic(config: SyntheticConfig) -> Path:
    """Write audio/<part>/*.flac, <part>.tsv and settings.json; the folder appears only when it is complete.

    Raises:
        DataError: If the folder cannot be written.
    """
    return write_folder(config.folder, partial(_write_parts, config))


def _write_parts(config: SyntheticConfig, folder: Path) -> None:
    for part in PARTS:
        scene = Scene(config.scene_seconds, config.min_snr_db, config.max_snr_db, IMBALANCE[part])
        draw = partial(_draw_scene, config.stream, config.seed, part, scene)
        write_scenes(folder, part, getattr(config, f"num_{part}"), draw, config.pool_size)
    settings = {"generator": GENERATOR_VERSION} | {key: getattr(config, key) for key in config.SCENE_KEYS}
    (folder / "settings.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _draw_scene(stream: str, seed: int, part: str, scene: Scene, index: int) -> tuple[np.ndarray, list[Event]]:
    return synthesise_scene(np.random.default_rng([STREAMS[stream], seed, PARTS.index(part), index]), scene)
