"""TUT Sound Events 2016 and 2017: scenes and their classes, events, errors; folds are tested in test_folds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tut_folds_files import write_tut_2016, write_tut_2017

from efficient_sed.data.events import Event
from efficient_sed.data.sets.tut_sed_2016 import TutSed2016Config
from efficient_sed.data.sets.tut_sed_2017 import TutSed2017Config
from efficient_sed.errors import ConfigError, DataError


def test_scenes(tmp_path: Path) -> None:
    root = str(write_tut_2016(tmp_path / "2016"))
    home = TutSed2016Config(root=root, num_workers=0).load()
    residential = TutSed2016Config(root=root, num_workers=0, scene="residential_area", fold=2).load()
    assert (len(home.classes), len(residential.classes)) == (11, 7)
    assert [clip.id for clip in residential.test] == ["residential_area/a200.wav", "residential_area/a201.wav"]
    assert home.test[0].events == (Event(0.1, 0.3, "cupboard"), Event(0.2, 0.5, "(object) rustling"))
    street = TutSed2017Config(root=str(write_tut_2017(tmp_path / "2017")), num_workers=0).load()
    assert len(street.classes) == 6
    with pytest.raises(ConfigError, match=r"^data\.scene=street is not allowed: .*allowed: home, residential_area$"):
        TutSed2016Config(scene="street")


LIST = "evaluation_setup/street_fold2_test.txt"
BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "wrong root": (
        lambda root: (root / LIST).unlink(),
        f"{{root}}/{LIST}: cannot be read (No such file or directory); data.root=DIR is the folder that holds audio/, "
        "meta/ and evaluation_setup/ of the development set",
    ),
    "twice": (
        lambda root: (root / LIST).write_text("audio/street/a100.wav\tstreet\n"),
        f"{{root}}/{LIST}:1: audio/street/a100.wav is listed a second time, first in "
        "{root}/evaluation_setup/street_fold1_test.txt:1; a file belongs to one fold",
    ),
    "another scene": (
        lambda root: (root / LIST).write_text("\naudio/home/a100.wav\thome\n"),
        f"{{root}}/{LIST}:2: 'audio/home/a100.wav' is not a file in audio/street/",
    ),
    "no annotations": (
        lambda root: (root / "meta/street/a100.ann").unlink(),
        "{root}/meta/street/a100.ann: cannot be read (No such file or directory); data.root=DIR is the folder",
    ),
    "label": (
        lambda root: (root / "meta/street/a100.ann").write_text("0.1\t0.2\tcars\n"),
        "{root}/meta/street/a100.ann:1: label 'cars' is not one of the 6 classes; did you mean 'car'?",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    change(write_tut_2017(tmp_path))
    with pytest.raises(DataError) as caught:
        TutSed2017Config(root=str(tmp_path), num_workers=0).load()
    assert str(caught.value).startswith(message.format(root=tmp_path))
