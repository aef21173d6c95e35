"""URBAN-SED in its published layout: parts, foreground events, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from urban_sed_files import jams, jams_path, observation, write_urban_sed

from efficient_sed.data.events import PARTS, Event, Splits
from efficient_sed.data.sets.urban_sed import CLASSES, UrbanSedConfig
from efficient_sed.errors import DataError


def load(root: Path, **options: Any) -> Splits:
    return UrbanSedConfig(root=str(root), num_workers=0, **options).load()


def test_parts_and_events(tmp_path: Path) -> None:
    splits = load(write_urban_sed(tmp_path))
    assert [len(getattr(splits, part)) for part in PARTS] == [2, 2, 2]
    assert splits.train[0].id == "soundscape_train_uniform0.wav"
    assert {clip.events for part in PARTS for clip in getattr(splits, part)} == {(Event(0.25, 0.75, "siren"),)}
    assert (len(splits.classes), splits.classes) == (10, CLASSES)
    assert splits.expected == {"train": 6000, "validation": 2000, "test": 2000}


def write(text: str) -> Callable[[Path], Any]:
    return lambda root: jams_path(root, "train").write_text(text)


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "wrong root": (
        lambda root: (root / "annotations/validate").rename(root / "annotations/val"),
        "{root}/annotations/validate: no such directory; data.root=DIR is the folder that holds audio/ and "
        "annotations/ of URBAN-SED, each with train/, validate/ and test/",
    ),
    "no JAMS": (
        lambda root: [path.unlink() for path in (root / "annotations/train").glob("*.jams")],
        "{root}/annotations/train: no JAMS file in it; expected names such as soundscape_train_uniform0.jams",
    ),
    "no audio": (
        lambda root: (root / "audio/train/soundscape_train_uniform0.wav").unlink(),
        "{root}/audio/train/soundscape_train_uniform0.wav: no such audio file; data.on_error=skip leaves such",
    ),
    "two parts": (
        lambda root: jams_path(root, "train").rename(root / "annotations/test/soundscape_train_uniform1.jams"),
        "{root}/audio/train/soundscape_train_uniform1.wav: stands in the parts train and test; a file belongs to one, "
        "else scores mean nothing",
    ),
    "another namespace": (
        write(jams([observation("siren", 0.2, 0.3)], namespace="beat")),
        "{jams}: namespaces beat; read are segment_open, tag_open, scaper, sound_event",
    ),
    "no label": (
        write(jams([{"time": 0.0, "duration": 1.0, "value": {"role": "foreground"}}])),
        "{jams}: scaper, row 1: label is None; labels are text",
    ),
    "another label": (
        write(jams([observation("sirens", 0.2, 0.3)])),
        "{jams}: label 'sirens' is not one of the 10 classes; did you mean 'siren'?",
    ),
    "no time": (
        write(jams([observation("siren", -0.2, 0.3)])),
        "{jams}: scaper, row 1: onset=-0.2 must be at least 0 and before offset=0.1",
    ),
    "no JSON": (write("0.25\t0.75\tsiren\n"), "{jams}: not JAMS: no list `annotations` with a `namespace` each"),
    "no list": (write('{{"annotations": 3}}'.format()), "{jams}: not JAMS: no list `annotations`"),
    "no data": (
        write(jams(3)),  # type: ignore[arg-type]
        "{jams}: scaper: data is no list of rows with time, duration and value",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    change(write_urban_sed(tmp_path))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(message.format(root=tmp_path, jams=jams_path(tmp_path, "train")))
