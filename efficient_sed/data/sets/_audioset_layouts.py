"""The three forms of AudioSet on disk: Arrow data set, HDF5 of mp3 files, folder of audio files."""

from __future__ import annotations

import abc
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from efficient_sed.audio.io import find_audio
from efficient_sed.data.events import Event
from efficient_sed.data.labels import audioset_labels
from efficient_sed.data.sets._audioset_tables import (
    LABEL_END_S,
    Annotations,
    add_event,
    clip_id,
    read_strong_table,
    read_weak_table,
)
from efficient_sed.data.storage.containers import (
    ArrowContainer,
    Hdf5Container,
    Kind,
    arrow_files,
    forget,
    open_container,
)
from efficient_sed.data.storage.index import IndexRow, file_stamp
from efficient_sed.data.storage.sources import AudioFile, ContainerAudio
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
Side = Literal["train", "eval"]
LayoutName = Literal["arrow", "hdf5", "folder"]
SPLITS: dict[Side, tuple[str, ...]] = {"train": ("balanced_train", "unbalanced_train"), "eval": ("eval",)}
Located = dict[str, tuple[Path, IndexRow]]
DIGITS = 5  # of seconds: what float32 columns keep, so that an event is the same as in the official table
Vocabulary = Mapping[str, str | None]


class Layout(abc.ABC):
    """One form of AudioSet below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @abc.abstractmethod
    def locate(self, side: Side) -> Located:
        """Container and row of every clip whose audio is here, by id.

        Raises:
            DataError: If a part is missing or damaged, or an id occurs twice.
        """

    @abc.abstractmethod
    def strong(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        """Events of every annotated clip."""

    @abc.abstractmethod
    def weak(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        """Labels of every annotated clip, as events that last as long as the clip."""

    def close(self) -> None:  # noqa: B027
        """Close opened files, so that no process that is started later inherits them."""

    def _strong_table(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        names = [
            f"{folder}audioset_{side}_strong.{suffix}" for folder in ("", "metadata/") for suffix in ("tsv", "csv")
        ]
        path = next((self.root / name for name in names if (self.root / name).is_file()), None)
        if path is None:
            raise DataError(
                f"{self.root}: no {names[0]} (or .csv, or in metadata/); put the official annotations there"
            )
        return read_strong_table(path, vocabulary)

    def _splits(self, side: Side, paths: Mapping[str, Path], form: str) -> dict[str, Path]:
        """Those of a side's splits that are here; a missing one of several is logged."""
        here = {split: path for split, path in paths.items() if split in SPLITS[side] and path.exists()}
        missing = [split for split in SPLITS[side] if split not in here]
        if not here:
            lacks = " and ".join(str(paths[split].relative_to(self.root)) for split in missing)
            raise DataError(f"{self.root}: the {form} {lacks} missing, so there is no {side} part")
        for split in missing:
            logger.warning(
                "%s: %s is missing; %s alone is the %s part", self.root, paths[split].name, ", ".join(here), side
            )
        return here


class ContainerLayout(Layout):
    """Clips in the rows of containers, one a split."""

    kind: Kind
    form: str

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._names: dict[Side, dict[str, tuple[str, int]]] = {}
        self.close()  # containers may have been replaced since they were opened

    def close(self) -> None:
        for path in self.paths().values():
            forget(path)

    @abc.abstractmethod
    def paths(self) -> dict[str, Path]:
        """Container by split."""

    def containers(self, side: Side) -> dict[str, Any]:
        """The opened containers of a side by split."""
        return {
            split: open_container(self.kind, path)
            for split, path in self._splits(side, self.paths(), self.form).items()
        }

    def rows(self, side: Side) -> dict[str, tuple[str, int]]:
        """Split and row of every clip."""
        if side not in self._names:
            found: dict[str, tuple[str, int]] = {}
            for split, container in self.containers(side).items():
                for row, name in enumerate(container.names()):
                    clip = clip_id(name)
                    if clip in found:
                        other, its_row = found[clip]
                        both = f"the clip {clip} is in {self.paths()[other]}[{its_row}] too"
                        raise DataError(f"{container.path}[{row}]: {both}; clip ids must not repeat")
                    found[clip] = (split, row)
            self._names[side] = found
        return self._names[side]

    def locate(self, side: Side) -> Located:
        paths = self.paths()
        stamps = {split: file_stamp(*self.files(paths[split])) for split in self.containers(side)}
        return {
            clip: (paths[split], IndexRow(str(row), stamps[split], ContainerAudio(self.kind, paths[split], row, clip)))
            for clip, (split, row) in self.rows(side).items()
        }  # fmt: skip

    @staticmethod
    def files(path: Path) -> Sequence[Path]:
        """The files that make up a container."""
        return [path]


class ArrowLayout(ContainerLayout):
    """Folders `balanced_train`, `unbalanced_train`, `eval`, written by `save_to_disk`."""

    kind, form = "arrow", "folders"

    def paths(self) -> dict[str, Path]:
        return {split: self.root / split for splits in SPLITS.values() for split in splits}

    @staticmethod
    def files(path: Path) -> Sequence[Path]:
        return arrow_files(path)

    def strong(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        found = Annotations({}, Counter())
        containers: dict[str, ArrowContainer] = self.containers(side)
        columns = {split: container.column("events") for split, container in containers.items()}
        for clip, (split, row) in self.rows(side).items():

            def place(split: str = split, row: int = row) -> str:
                return f"{containers[split].path}[{row}]"

            events = found.events.setdefault(clip, [])
            for onset_s, offset_s, name in _arrow_events(columns[split][row], vocabulary, place):
                add_event(found, events, onset_s, offset_s, name, vocabulary, place)
        return found

    def weak(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        containers: dict[str, ArrowContainer] = self.containers(side)
        targets = {split: container.column("target") for split, container in containers.items()}
        arrays = {}
        for split, values in targets.items():
            try:
                arrays[split] = np.array(values, dtype=np.float32)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{containers[split].path}: target is not a list of numbers a clip ({error})"
                ) from error
        return _from_targets(self.rows(side), arrays, self.paths())


class Hdf5Layout(ContainerLayout):
    """`<split>_segments_mp3.hdf`; strong annotations beside them."""

    kind, form = "hdf5", "files"

    def paths(self) -> dict[str, Path]:
        return {split: self.root / f"{split}_segments_mp3.hdf" for splits in SPLITS.values() for split in splits}

    def strong(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        return self._strong_table(side, vocabulary)

    def weak(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        containers: dict[str, Hdf5Container] = self.containers(side)
        num_classes = len(audioset_labels("weak"))
        targets = {}
        for split, container in containers.items():
            bits = container.column("target")
            if bits.dtype != np.uint8 or bits.shape != (len(container.names()), math.ceil(num_classes / 8)):
                raise DataError(
                    f"{container.path}: target has shape {bits.shape} and type {bits.dtype}; needed: {num_classes} "
                    "classes packed into bytes by numpy.packbits"
                )
            targets[split] = np.unpackbits(bits, axis=-1, count=num_classes)
        return _from_targets(self.rows(side), targets, self.paths())


class FolderLayout(Layout):
    """Audio files anywhere below the folder, with the official annotations beside them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._files: Located | None = None

    def locate(self, side: Side) -> Located:
        if self._files is None:
            found: Located = {}
            for path in find_audio(self.root):
                if not path.name.startswith("Y"):
                    continue
                clip = clip_id(path.name)
                if clip in found:
                    raise DataError(
                        f"{path}: the clip {clip} is in {found[clip][1].source} too; clip ids must not repeat"
                    )
                found[clip] = (self.root, IndexRow(str(path.relative_to(self.root)), file_stamp(path), AudioFile(path)))
            if not found:
                raise DataError(f"{self.root}: no audio file Y<youtube id>.mp3 (or another ending) lies below")
            self._files = found
        return self._files

    def strong(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        return self._strong_table(side, vocabulary)

    def weak(self, side: Side, vocabulary: Vocabulary) -> Annotations:
        found = Annotations({}, Counter())
        tables = {split: self.root / f"{split}_segments.csv" for split in SPLITS[side]}
        for split, path in self._splits(side, tables, "files").items():
            labels = read_weak_table(path, vocabulary)
            if repeated := found.events.keys() & labels.events.keys():
                raise DataError(
                    f"{path}: the clip {min(repeated)} stands in another split than {split} too; clip ids must not "
                    "repeat"
                )
            found.events.update(labels.events)
            found.outside.update(labels.outside)
        return found


LAYOUTS: dict[LayoutName, type[Layout]] = {"arrow": ArrowLayout, "hdf5": Hdf5Layout, "folder": FolderLayout}


def open_layout(root: Path, name: Literal["auto", "arrow", "hdf5", "folder"], key: str = "data.root") -> Layout:
    """Open the named form, or the one that is recognised; `key` is the option that names the folder.

    Raises:
        DataError: If the folder is missing, or holds no form that is known, or several.
    """
    if not root.is_dir():
        raise DataError(f"{key}={root}: no such directory; give the folder of AudioSet as {key}=DIR")
    if name != "auto":
        return LAYOUTS[name](root)
    has = {
        "arrow": (root / "dataset_dict.json").is_file()
        or any((root / split / "state.json").is_file() for splits in SPLITS.values() for split in splits),
        "hdf5": any(root.glob("*_segments_mp3.hdf")),
    }
    found: list[LayoutName] = [known for known in LAYOUTS if has.get(known)]
    if len(found) > 1:
        raise DataError(f"{key}={root}: holds {' and '.join(found)}; choose with data.layout={found[0]}")
    if not found and not any(
        path.is_file()
        for pattern in ("audioset_*_strong.*", "metadata/audioset_*_strong.*", "*_segments.csv")
        for path in root.glob(pattern)
    ):
        raise DataError(
            f"{key}={root}: no layout of AudioSet is recognised; needed: folders balanced_train, unbalanced_train, "
            "eval of an Arrow data set, "
            "or *_segments_mp3.hdf files, or audio files with audioset_train_strong.tsv and audioset_eval_strong.tsv"
        )
    return LAYOUTS[found[0] if found else "folder"](root)


def _arrow_events(value: Any, vocabulary: Vocabulary, place: Callable[[], str]) -> list[tuple[float, float, str]]:
    """Onset, offset and class of events stored as a dict of lists or a list of dicts; mids before labels."""
    if value is None:
        return []
    try:
        if isinstance(value, dict):
            ids = value.get("event_label_id") or value["event_label"]
            columns = zip(value["onset"], value["offset"], ids, value["event_label"], strict=True)
        else:
            keys = ("onset", "offset", "event_label_id", "event_label")
            columns = zip(*([event[key] for event in value] for key in keys), strict=True)
        return [
            (round(onset, DIGITS), round(offset, DIGITS), str(mid) if mid in vocabulary else str(label))
            for onset, offset, mid, label in columns
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{place()}: events are not lists of event_label, event_label_id, onset and offset ({error})"
        ) from error


def _from_targets(
    rows: Mapping[str, tuple[str, int]], targets: Mapping[str, np.ndarray], paths: Mapping[str, Path]
) -> Annotations:
    """Labels of clips from rows of 527 numbers."""
    labels = audioset_labels("weak")
    for split, array in targets.items():
        if array.ndim != 2 or array.shape[1] != len(labels):
            raise DataError(f"{paths[split]}: target has shape {array.shape}; needed: clips x {len(labels)} classes")
    found = Annotations({}, Counter())
    for clip, (split, row) in rows.items():
        found.events[clip] = [
            Event(0.0, LABEL_END_S, labels[column]) for column in np.flatnonzero(targets[split][row] > 0.5)
        ]
    return found
