"""A seed is a data set, byte for byte; other seeds share nothing; what cannot be written leaves nothing behind."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from efficient_sed.data.events import PARTS, Event, Splits
from efficient_sed.data.mixing.place import MIN_GAP_S
from efficient_sed.data.sets import synthetic
from efficient_sed.data.sets.synthetic import (
    IMBALANCE,
    MAX_POLYPHONY,
    Scene,
    SyntheticConfig,
    synthesise_scene,
)
from efficient_sed.data.sounds import SOUND_CLASSES
from efficient_sed.errors import ConfigError, DataError

SMALL = {"num_train": 2, "num_validation": 1, "num_test": 1, "scene_seconds": 3.0, "clip_seconds": 3, "num_workers": 0}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def clips(folder: Path) -> set[str]:
    """What is heard, whatever the file is called."""
    return {
        hashlib.sha256(soundfile.read(path)[0].tobytes()).hexdigest() for path in (folder / "audio").rglob("*.flac")
    }


def test_a_seed_decides_every_byte(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    again = dataclasses.replace(tiny_config, root=str(tmp_path))
    splits = again.load()
    assert digests(again.folder) == digests(tiny_config.folder)
    assert len(digests(again.folder)) == 16 + 3 + 1  # scenes, annotations, settings
    assert splits.manifest_hash == tiny_data.manifest_hash
    assert [path.name for path in tmp_path.iterdir()] == [again.folder.name]


def test_written_once_and_read_back(
    tiny_config: SyntheticConfig, tiny_data: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "write_synthetic", None)
    assert tiny_config.load() == tiny_data
    assert tiny_data.classes == tuple(SOUND_CLASSES)
    assert [len(part) for part in (tiny_data.train, tiny_data.validation, tiny_data.test)] == [8, 4, 4]
    scene = Scene(3.0, -3.0, 20.0, IMBALANCE["train"])
    samples, events = synthesise_scene(np.random.default_rng([0, 0, 0, 3]), scene)
    clip = tiny_data.train[3]
    assert clip.duration_s == 3.0
    assert list(clip.events) == events
    np.testing.assert_allclose(soundfile.read(str(clip.audio))[0], samples, atol=2**-15)


@pytest.mark.usefixtures("tiny_data")
def test_nothing_is_shared(tmp_path: Path, tiny_config: SyntheticConfig) -> None:
    config = SyntheticConfig(root=str(tmp_path), **SMALL)  # type: ignore[arg-type]
    configs = [
        tiny_config,
        dataclasses.replace(config, seed=1),
        dataclasses.replace(config, stream="pretraining"),
        dataclasses.replace(config, min_snr_db=0),
    ]
    for other in configs:
        other.load()
    heard = [clips(other.folder) for other in configs]
    assert len({other.folder.name for other in configs}) == 4
    assert [len(each) for each in heard] == [16, 4, 4, 4]  # no clip twice in train, validation and test
    assert len(set().union(*heard)) == 16 + 4 + 4 + 4


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, list[Event]]]:
    return [synthesise_scene(np.random.default_rng([9, index]), Scene(10.0, -3.0, 20.0, 0.5)) for index in range(120)]


def test_scenes_keep_their_promises(scenes: list[tuple[np.ndarray, list[Event]]]) -> None:
    polyphony = 0
    for samples, events in scenes:
        assert samples.dtype == np.float32
        assert samples.shape == (160_000,)
        assert 0.05 < np.abs(samples).max() <= 1
        active = np.zeros(10_000, dtype=int)  # milliseconds
        for event in events:
            assert 0 <= event.onset_s < event.offset_s <= 10
            sound = SOUND_CLASSES[event.label]
            assert sound.min_s - 2e-3 <= event.offset_s - event.onset_s <= sound.max_s + 2e-3
            active[round(event.onset_s * 1000) : round(event.offset_s * 1000)] += 1
        polyphony = max(polyphony, active.max())
        for label in SOUND_CLASSES:
            own = sorted(event for event in events if event.label == label)
            assert all(before.offset_s + MIN_GAP_S < after.onset_s for before, after in pairwise(own))
    assert 3 <= polyphony <= MAX_POLYPHONY


def test_every_class_occurs(scenes: list[tuple[np.ndarray, list[Event]]]) -> None:
    counts = Counter(event.label for _, events in scenes for event in events)
    assert len(SOUND_CLASSES) >= 10
    assert set(counts) == set(SOUND_CLASSES)
    assert counts["hum"] > counts["chime_falling"]


@pytest.mark.parametrize("label", SOUND_CLASSES)
def test_a_sound_fills_its_event(label: str) -> None:
    """Both borders can be heard, so that an annotation is not a matter of opinion."""
    sound = SOUND_CLASSES[label]
    for seed, seconds in enumerate(np.linspace(sound.min_s, sound.max_s, 5)):
        n = round(seconds * 16_000)
        samples = sound.synthesise(np.random.default_rng(seed), n)
        assert samples.shape == (n,)
        assert np.isfinite(samples).all()
        edge = n // 3
        assert (
            min(np.square(samples[:edge]).mean(), np.square(samples[-edge:]).mean()) > 1e-8 * np.square(samples).mean()
        )


@pytest.mark.parametrize("place", ["file", "file/inside"])
def test_unwritable_root(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        DataError,
        match=(
            r"^data\.root=.*/file.*: cannot be written \((File exists|Not a directory)\); give a writable folder as"
            r" data\.root=DIR$"
        ),
    ):
        SyntheticConfig(root=str(tmp_path / place), **SMALL).load()  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_generation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = SyntheticConfig(root=str(tmp_path), **SMALL)  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(
            DataError,
            match=(
                r"cannot be written \(No space left on device\); free some space or give another folder as"
                r" data\.root=DIR"
            ),
        ):
            config.load()
    assert list(tmp_path.iterdir()) == []
    assert len(config.load().train) == 2


LIMITED = f"""
import resource, sys
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    SyntheticConfig(root=sys.argv[1], **{SMALL}).load()
except DataError as error:
    print(error)
"""


def test_a_write_that_stops_half_way(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "cannot be written" in run.stdout, run.stderr[-2000:]
    assert list(tmp_path.iterdir()) == []


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"data\.num_test=0 is not allowed: 1 to 1000000 scenes"):
        SyntheticConfig(num_test=0)


@pytest.mark.parametrize(
    ("seed", "part", "heard", "labelled"),
    [
        (0, "train", "423cd8fca97054f4", "06a858e541e92a02"),
        (0, "test", "2182ef9fceaf94a1", "1df3bb889787dedf"),
        (1, "train", "88f38c8c88a740f6", "8aab230a6843ea4c"),
        (1, "test", "3529532bd43a5fae", "c244bab916e04f6d"),
    ],
)
def test_scenes_are_those_of_earlier_versions(seed: int, part: str, heard: str, labelled: str) -> None:
    """In 16 bits, as they are written; a change would ask for another GENERATOR_VERSION."""
    rng = np.random.default_rng([0, seed, PARTS.index(part), 3])
    samples, events = synthesise_scene(rng, Scene(10.0, -3.0, 20.0, IMBALANCE[part]))
    assert hashlib.sha256(np.round(samples * 32767).astype("<i2").tobytes()).hexdigest()[:16] == heard
    assert hashlib.sha256(repr(events).encode()).hexdigest()[:16] == labelled
