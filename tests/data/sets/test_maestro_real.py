"""MAESTRO Real as published and as DCASE 2024 prepares it: parts, soft labels, events for metrics, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desed_files import write_maestro, write_maestro_pieces

from efficient_sed.data.events import Event, Splits, hard_events
from efficient_sed.data.sets.maestro_real import (
    CLASSES,
    EVALUATED,
    RECORDINGS,
    VALIDATION,
    MaestroRealConfig,
    recording,
)
from efficient_sed.errors import DataError


def load(root: Path, **options: Any) -> Splits:
    return MaestroRealConfig(root=str(root), num_workers=0, **options).load()


def test_the_published_recordings() -> None:
    numbers = {part: sum(len(own[part]) for own in RECORDINGS.values()) for part in ("train", "test")}
    assert numbers == {"train": 33, "test": 16}
    assert len(CLASSES) == 17
    assert len(set(EVALUATED) & set(CLASSES)) == 11
    for name in VALIDATION:
        place, _, number = name.rpartition("_")
        assert int(number) in RECORDINGS[place]["train"]


def test_as_published(tmp_path: Path) -> None:
    splits = load(write_maestro(tmp_path), clip_seconds=2.0)
    first, second = splits.train
    assert (first.id, second.id) == tuple(f"maestro/cafe_restaurant/cafe_restaurant_00.wav@{n}" for n in (0, 1))
    assert (first.kind, first.subset, first.duration_s, second.duration_s) == ("soft", "maestro", 2.0, 1.0)
    assert first.events == (Event(0.0, 1.0, "footsteps", 0.4), Event(1.0, 2.0, "footsteps", 0.4))
    assert second.events == (Event(0.0, 1.0, "announcement", 0.9), Event(0.0, 1.0, "people talking", 0.75))
    (validation,), (test,) = splits.validation, splits.test
    assert (validation.kind, validation.duration_s) == ("soft", 3.0)
    assert hard_events(validation) == (Event(0.0, 2.0, "car"),)  # 0.5 and 0.8, not 0.49
    assert hard_events(test) == (Event(0.0, 1.0, "metro leaving"), Event(1.0, 2.0, "coffee machine"))
    assert splits.evaluated_classes == EVALUATED
    assert splits.expected == {"train": 28, "validation": 5, "test": 16}
    assert splits.subsets["maestro"] == (1, 28)


def test_as_prepared(tmp_path: Path) -> None:
    """All pieces are trained on; those that are scored do not overlap."""
    splits = load(write_maestro_pieces(tmp_path))
    assert [clip.id for clip in splits.train] == [
        f"maestro/cafe_restaurant_00-{start}.wav" for start in ("000000-001000", "000100-001100", "001000-002000")
    ]
    assert [clip.id.rpartition("-0")[0][-6:] for clip in splits.validation] == ["000000", "001000"]
    assert [recording(clip.id) for clip in splits.test] == ["metro_station_06"] * 2
    assert splits.train[0].events == (Event(0.0, 1.0, "car", 0.6),)
    assert hard_events(splits.test[0]) == (Event(0.0, 1.0, "car"),)


LABELS = "development_annotation/soft_labels_cafe_restaurant/cafe_restaurant_00.txt"
BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "confidence": (
        lambda root: (root / LABELS).write_text("0\t1\tcar\t0.5\n1\t2\tcar\t1.5\n"),
        f"{{root}}/{LABELS}:2: confidence='1.5' is not allowed: a number from 0 to 1",
    ),
    "no confidence": (
        lambda root: (root / LABELS).write_text("0\t1\tcar\n"),
        f"{{root}}/{LABELS}:1: '0\\t1\\tcar' has 3 fields; needed, separated by tabs: onset offset label confidence",
    ),
    "label": (
        lambda root: (root / LABELS).write_text("0\t1\tcars\t1\n"),
        f"{{root}}/{LABELS}:1: label 'cars' is not one of the 17 classes; did you mean 'car'?",
    ),
    "unknown recording": (
        lambda root: (root / LABELS).rename(root / LABELS.replace("_00", "_99")),
        f"{{root}}/{LABELS.replace('_00', '_99')}: is none of the 49 recordings that are published; remove it",
    ),
    "none to test": (
        lambda root: (root / "development_audio/metro_station/metro_station_06.wav").unlink(),
        "{root}/development_audio: none of the 1 clips of the subset maestro_test is here, such as "
        "metro_station/metro_station_06.wav",
    ),
    "beyond the end": (
        lambda root: (root / LABELS).write_text("0\t1\tcar\t0.5\n7\t8\tcar\t0.5\n"),
        "{root}/development_audio/cafe_restaurant/cafe_restaurant_00.wav: event 'car' at 7-8 s lies beyond",
    ),
    "wrong root": (
        lambda root: (root / "development_audio").rename(root / "audio"),
        "data.root={root}: nothing of MAESTRO Real in it; give the folder that holds development_audio/ and ",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    change(write_maestro(tmp_path))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value).replace("\t", "\\t").startswith(message.format(root=tmp_path))


def test_bad_rows_of_a_table(tmp_path: Path) -> None:
    path = write_maestro_pieces(tmp_path) / "metadata" / "maestro_real_train.tsv"
    text = path.read_text()
    for row, message in {
        "a.wav\t0\t1\tcar\t-0.1": ":8: confidence='-0.1' is not allowed: a number from 0 to 1",
        "a.wav\t0\t1\tcra\t1": ": a.wav: label 'cra' is not one of the 17 classes; did you mean 'car'?",
    }.items():
        path.write_text(f"{text}{row}\n")
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert str(caught.value).startswith(f"{path}{message}")
