"""Synthetic soundscapes: real FLAC files and annotations, made from a seed and read back as a `folder` data set.

In the style of TUT-SED Synthetic 2016: polyphony up to five, background noise, strong class imbalance. Some classes
differ in their spectrum, some in rhythm or contour over seconds; some last 50 ms, some many seconds. A train of pulses
is one event with its gaps, so that a model without context cuts it to pieces.

No event is ever repeated: every one is drawn anew from a random stream that belongs to (stream, seed, part, clip).
"""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import soundfile

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.data import DataConfig
from efficient_sed.config.values import MAX_CLIP_SECONDS
from efficient_sed.data.annotations.event_tables import EVENT_COLUMNS
from efficient_sed.data.events import PARTS, Event, Splits
from efficient_sed.data.sets.folder import read_folder
from efficient_sed.data.sounds import SOUND_CLASSES, Rng
from efficient_sed.errors import DataError, require
from efficient_sed.files.locks import locked
from efficient_sed.machine.processes import end_with_parent
from efficient_sed.machine.progress import progress
from efficient_sed.registry import DATASETS

GENERATOR_VERSION = 1  # part of the folder's name: raise it when the same settings would give other audio
MAX_POLYPHONY = 5
MAX_SCENES = 1_000_000  # of a part; of ten seconds a hundred gigabytes
MIN_GAP_S = 0.3  # between events of one class, so that they stay apart on the frame grid
FADE_S = 0.005
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
    n = int(scene.scene_seconds * SAMPLE_RATE)
    background = _background(rng, n)
    mix = background.copy()
    labels = list(SOUND_CLASSES)
    weights = np.array([SOUND_CLASSES[label].weight for label in labels]) ** scene.imbalance
    active = np.zeros(n, dtype=np.int8)
    events: list[Event] = []
    for _ in range(math.ceil(rng.integers(2, 10) * scene.scene_seconds / 10)):
        label = labels[rng.choice(len(labels), p=weights / weights.sum())]
        event = _place(rng, label, scene.scene_seconds, active, events)
        if event is None:
            continue
        first, last = round(event.onset_s * SAMPLE_RATE), round(event.offset_s * SAMPLE_RATE)
        sound = _faded(SOUND_CLASSES[label].synthesise(rng, last - first))
        snr = 10 ** (rng.uniform(scene.min_snr_db, scene.max_snr_db) / 20)
        mix[first:last] += sound * (snr * np.sqrt(np.mean(background**2) / max(np.mean(sound**2), 1e-12)))
        active[first:last] += 1
        events.append(event)
    level = 10 ** (rng.uniform(-20, -3) / 20)
    return (mix * (level / np.abs(mix).max())).astype(np.float32), sorted(events)


def _background(rng: Rng, n: int) -> np.ndarray:
    """Noise with a random spectral slope and slow changes of level."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(spectrum / np.maximum(frequency, 50.0) ** rng.uniform(0.0, 1.0), n)
    knots = rng.uniform(0.7, 1.3, 6)
    noise = shaped * np.interp(np.arange(n), np.linspace(0, n, len(knots)), knots)
    return np.asarray(noise / noise.std())


def _place(rng: Rng, label: str, scene_seconds: float, active: np.ndarray, events: list[Event]) -> Event | None:
    """A free spot: polyphony stays within the limit, events of one class stay apart. None if eight tries find none."""
    sound = SOUND_CLASSES[label]
    for _ in range(8):
        duration = min(rng.uniform(sound.min_s, sound.max_s), scene_seconds)
        onset = round(rng.uniform(0, scene_seconds - duration), 3)
        offset = round(onset + duration, 3)
        first, last = round(onset * SAMPLE_RATE), round(offset * SAMPLE_RATE)
        is_apart = all(
            e.label != label or offset + MIN_GAP_S < e.onset_s or e.offset_s + MIN_GAP_S < onset for e in events
        )
        if last <= len(active) and is_apart and active[first:last].max() < MAX_POLYPHONY:
            return Event(onset, offset, label)
    return None


def _faded(sound: np.ndarray) -> np.ndarray:
    n = min(int(FADE_S * SAMPLE_RATE), len(sound) // 4)
    ramp = np.linspace(0, 1, n)
    sound[:n] *= ramp
    sound[len(sound) - n :] *= ramp[::-1]
    return sound


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
        )


def write_synthetic(config: SyntheticConfig) -> Path:
    """Write audio/<part>/*.flac, <part>.tsv and settings.json; the folder appears only when it is complete.

    Raises:
        DataError: If the folder cannot be written.
    """
    try:
        Path(config.root).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"data.root={config.root}: cannot be written ({error.strerror}); give a writable folder as data.root=DIR"
        ) from error
    try:
        with locked(Path(config.root) / f".{config.folder.name}.lock"):
            if not config.folder.is_dir():  # another process may have made it while this one waited
                _write_parts(config, Path(config.root) / f".{config.folder.name}.unfinished")
    except OSError as error:
        raise DataError(
            f"{config.folder}: cannot be written ({error.strerror}); free some space or give another folder as "
            "data.root=DIR"
        ) from error
    return config.folder


def _write_parts(config: SyntheticConfig, unfinished: Path) -> None:
    """Write into a hidden folder, which is renamed at the end; leftovers of a killed process are removed first."""
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        for part in PARTS:
            (unfinished / "audio" / part).mkdir(parents=True)
            scene = Scene(config.scene_seconds, config.min_snr_db, config.max_snr_db, IMBALANCE[part])
            numbers = range(getattr(config, f"num_{part}"))
            jobs = [(str(unfinished), config.stream, config.seed, part, index, scene) for index in numbers]
            shown = progress(f"soundscapes for {part}", len(jobs), is_drawn=sys.stderr.isatty())
            with (
                ProcessPoolExecutor(max_workers=max(1, config.pool_size), initializer=end_with_parent) as pool,
                shown as made,
            ):
                rows = []
                for clip_rows in pool.map(_write_scene, jobs, chunksize=8):
                    rows += clip_rows
                    made(1)
            table = "\n".join(["\t".join(EVENT_COLUMNS), *rows]) + "\n"
            (unfinished / f"{part}.tsv").write_text(table, encoding="utf-8")
        settings = {"generator": GENERATOR_VERSION} | {key: getattr(config, key) for key in config.SCENE_KEYS}
        (unfinished / "settings.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(config.folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_scene(job: tuple[str, str, int, str, int, Scene]) -> list[str]:
    folder, stream, seed, part, index, scene = job
    rng = np.random.default_rng([STREAMS[stream], seed, PARTS.index(part), index])
    samples, events = synthesise_scene(rng, scene)
    name = f"{part}/{index:06d}.flac"
    encoded = io.BytesIO()  # libsndfile does not report a full disk as an OSError
    soundfile.write(encoded, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    (Path(folder) / "audio" / name).write_bytes(encoded.getvalue())
    return [f"{name}\t{e.onset_s:g}\t{e.offset_s:g}\t{e.label}" for e in events] or [f"{name}\t\t\t"]
