"""Folders and files that were typed, looked for before PyTorch is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from efficient_sed.errors import DataError
from efficient_sed.experiment.text_values import Text, read_text, split_alternatives
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.weights.hub import is_hub_name

DEFAULT_DATASET = "synthetic"
GENERATED_DATASETS = {DEFAULT_DATASET, "soundscapes"}  # whose folder is made where there is none
SOUND_KEYS = ("data.foreground", "data.background", "data.negatives", "data.negatives_test")
FILE_KEYS = ("data.pseudo_labels", "data.clip_teacher", "data.clip_teacher_index")
WEIGHT_KEYS = ("backbone.init", "train.init_from")  # names too, which have no folder


def check_places(overrides: Sequence[str], *, is_sweep: bool) -> None:
    """Raise a DataError if a folder of data, a teacher's file or a checkpoint that was typed does not exist.

    Args:
        overrides: As they were typed.
        is_sweep: Whether commas set alternatives apart, each of which has to exist.
    """
    if not overrides:
        return
    from efficient_sed.experiment.keys import key_of

    typed = {key_of(override): override.partition("=")[2] for override in overrides if "=" in override}
    if not is_sweep:  # alternatives are refused later, with what to type
        typed = {key: value for key, value in typed.items() if len(split_alternatives(value, Text.OPTIONAL)) == 1}
    if GENERATED_DATASETS.isdisjoint(_names(typed)):
        for root in (Path(value) for value in _values(typed, "data.root") if value and not Path(value).exists()):
            raise DataError(f"data.root={root}: no such directory; give the folder of your data set as data.root=DIR")
    for key in SOUND_KEYS:
        for folder in (Path(value) for value in _values(typed, key) if value and not Path(value).is_dir()):
            raise DataError(f"{key}={folder}: no such directory; give a folder of sounds as {key}=DIR")
    for key in FILE_KEYS:
        for path in (Path(value) for value in _values(typed, key) if value and not Path(value).exists()):
            raise DataError(f"{key}={path}: no such file")
    for key in WEIGHT_KEYS:
        for name in _values(typed, key):
            if "/" in name and not is_hub_name(name) and not Path(name).exists():
                raise DataError(f"{key}={name}: no such checkpoint file")


def _names(typed: dict[str, str]) -> set[str]:
    """Names of the data sets that overrides choose."""
    if "data" in typed or "experiment" not in typed:
        return {name.strip() for name in typed.get("data", DEFAULT_DATASET).split(",")}
    return {_data_of(name.strip()) for name in typed["experiment"].split(",")}


def _data_of(experiment: str, derived: tuple[str, ...] = ()) -> str:
    """The data set of a preset, or of the one that it is derived from.

    For a preset that will be refused later it is the default.
    """
    from efficient_sed.experiment.presets import read_preset

    path = resource_folder("configs") / "experiment" / f"{experiment}.yaml"
    defaults = read_preset(path).get("defaults") if path.is_file() and experiment not in derived else None
    found = DEFAULT_DATASET
    for entry in defaults if isinstance(defaults, list) else ():
        if isinstance(entry, str) and entry != "_self_":
            found = _data_of(entry, (*derived, experiment))
        elif isinstance(entry, dict):
            found = str(entry.get("override /data", found))
    return found


def _values(typed: dict[str, str], key: str) -> Iterator[str]:
    for piece in split_alternatives(typed[key], Text.OPTIONAL) if key in typed else ():
        value = read_text(f"{key}={piece}", Text.OPTIONAL)
        if isinstance(value, str):
            yield value
