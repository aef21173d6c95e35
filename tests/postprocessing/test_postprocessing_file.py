"""Post-processing as plain values: in a file, and in what models carry."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from efficient_sed.errors import ConfigError
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.file import read_postprocessing, write_postprocessing
from efficient_sed.postprocessing.hysteresis import Hysteresis
from efficient_sed.postprocessing.median import Median

CLASSES = ["dog", "Hündin", "siren"]
TUNED = Postprocessing(
    Chain((Median((1, 3, 5)),)),
    Chain((Median(3), Hysteresis((0.5, 0.75, 1.0), 0.2))),
    (0.1, 0.2, 0.3),
    0.04,
    {"tuned_for": "psds1"},
)


def test_round_trip(tmp_path: Path) -> None:
    write_postprocessing(tmp_path / "new" / "tuned.json", TUNED, CLASSES)
    held = read_postprocessing(tmp_path / "new" / "tuned.json")
    assert (held.classes, held.postprocessing) == (tuple(CLASSES), TUNED)
    assert held.for_model(CLASSES, 0.04) == TUNED
    turned = held.for_model(["siren", "dog", "Hu\u0308ndin"], 0.04)  # another order, and another spelling
    assert (turned.thresholds, turned.scores, turned.notes) == (
        (0.3, 0.1, 0.2),
        Chain((Median((5, 1, 3)),)),
        TUNED.notes,
    )
    assert Postprocessing.of(TUNED.to_dict(), 9, 3, 0.04) == TUNED
    assert Postprocessing.of({}, 9, 3) == Postprocessing.untuned(9)


@pytest.mark.parametrize(
    ("classes", "hop_s", "problem"),
    [
        (["dog", "siren", "bell"], 0.04, "it has no class 'bell', which the model has"),
        (["dog", "siren"], 0.04, "its class 'Hündin' is none of the model's"),
        (CLASSES, 0.02, "hop_s=0.04 is not allowed: 0.02 s, the model's frame"),
    ],
)
def test_another_model(tmp_path: Path, classes: list[str], hop_s: float, problem: str) -> None:
    write_postprocessing(tmp_path / "tuned.json", TUNED, CLASSES)
    with pytest.raises(ConfigError) as caught:
        read_postprocessing(tmp_path / "tuned.json").for_model(classes, hop_s)
    expected = f"{tmp_path}/tuned.json: {problem}; make one for this model by: efficient-sed tune MODEL"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"classes": None}, "classes=None is not allowed: a list of labels"),
        ({"classes": ["dog", "dog", "siren"]}, "label 'dog' is there twice"),
        ({"classes": ["dog"]}, "median.window=3 values is not allowed: one for each of 1 classes"),
        ({"events": [{"name": "medain"}]}, "unknown post-processing method 'medain'; did you mean 'median'?"),
        ({"events": [{"name": "median", "window": 4}]}, "median.window=4 is not allowed: an odd number of frames"),
        ({"events": [{"name": "median", "frames": 3}]}, "unknown key median.frames; "),
        ({"events": "median"}, "postprocessing=median is not allowed: a list of methods"),
        ({"scores": [3]}, "postprocessing=3 is not allowed: a method with its name"),
        ({"thresholds": [0.1, 0.2]}, "thresholds=2 values is not allowed: one for each of 3 classes"),
        ({"thresholds": [0.1, 0.2, 1]}, "thresholds=1 is not allowed: above 0, below 1"),
        ({"thresholds": [0.1, 0.2, "x"]}, "thresholds=x is not allowed: above 0, below 1"),
        ({"thresholds": 0.3}, "thresholds=0.3 is not allowed: a list, or null"),
        ({"hop_s": 0}, "hop_s=0 is not allowed: seconds above 0, or null"),
        ({"hop_s": "x"}, "hop_s=x is not allowed: seconds above 0, or null"),
        ({"notes": 3}, "notes=3 is not allowed: a table"),
        ({"treshold": 3}, "unknown key postprocessing.treshold; did you mean 'thresholds'?"),
    ],
)
def test_damaged_files(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = tmp_path / "tuned.json"
    path.write_text(json.dumps({"classes": CLASSES, **TUNED.to_dict(), **change}))
    with pytest.raises(ConfigError) as caught:
        read_postprocessing(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: is no file of efficient-sed tune --output (")
    assert problem in message


@pytest.mark.parametrize("content", ["", "[1]", '{"classes": ["dog"], "hop_s": NaN}', "\x00"])
def test_files_that_are_no_tables(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ConfigError, match=r"a\.json: is no file of efficient-sed tune --output \("):
        read_postprocessing(tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"b\.json: cannot be read \(No such file"):
        read_postprocessing(tmp_path / "b.json")


def test_infinity_is_plain() -> None:
    limits = {"name": "change_points", "absolute": None, "relative": [1.5, None]}
    (step,) = Chain.from_list([limits]).steps
    assert step.values() == {"step_s": 0.48, "absolute": math.inf, "relative": (1.5, math.inf)}
    assert json.dumps(Chain((step,)).to_list(), allow_nan=False)
