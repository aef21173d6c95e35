"""DESED: ten classes of domestic sounds, the data of DCASE Task 4 from 2019 to 2024.

Turpault et al., "Sound event detection in domestic environments with weakly labeled data and soundscape synthesis",
DCASE 2019 (https://hal.inria.fr/hal-02160855). Parts as in the baseline of DCASE 2023
(https://github.com/DCASE-REPO/DESED_task, recipes/dcase2023_task4_baseline): synthetic soundscapes, real clips with
strong and with weak labels and without labels are trained on; other synthetic soundscapes and a tenth of the weak clips
choose the epoch; the part that DCASE calls validation, or the public evaluation set, is tested on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from efficient_sed.audio.io import find_audio
from efficient_sed.config.data import DataConfig
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.annotations.weak import read_weak_labels
from efficient_sed.data.events import Clip, Event, Splits, overhang_notes
from efficient_sed.data.sets._subsets import Subset, join_splits, read_subset
from efficient_sed.data.sets._text import check_label
from efficient_sed.errors import DataError, require
from efficient_sed.registry import DATASETS

logger = logging.getLogger(__name__)
CLASSES = (
    "Alarm_bell_ringing", "Blender", "Cat", "Dishes", "Dog", "Electric_shaver_toothbrush", "Frying", "Running_water",
    "Speech", "Vacuum_cleaner",
)  # fmt: skip
BASES = ("", "dcase_synth")
"""Folders below the root that hold audio/ and metadata/; the second in the baseline's copy, for soundscapes."""
SPLIT_SEED = 42
"""Of the weak clips that are held out, as in the baseline."""
_SYNTHETIC = "data.has_synthetic=false"
SUBSETS: Mapping[str, tuple[Subset, str, str | None]] = {
    subset.name: (subset, audio, table)
    for subset, audio, table in (
        (Subset("synthetic", "strong", "train", 10_000, _SYNTHETIC),
         "train/synthetic21_train/soundscapes", "train/synthetic21_train/soundscapes.tsv"),
        (Subset("strong_real", "strong", "train", 3470, "data.has_strong_real=false"),
         "train/strong_label_real", "train/audioset_strong.tsv"),
        (Subset("weak", "weak", "train", 1578, "data.has_weak=false"), "train/weak", "train/weak.tsv"),
        (Subset("unlabelled", "unlabelled", "train", 14_412, "data.has_unlabelled=false"),
         "train/unlabel_in_domain", None),
        (Subset("synthetic_validation", "strong", "validation", 2500, _SYNTHETIC),
         "validation/synthetic21_validation/soundscapes", "validation/synthetic21_validation/soundscapes.tsv"),
        (Subset("validation", "strong", "test", 1168, "data.test_set=public"),
         "validation/validation", "validation/validation.tsv"),
        (Subset("public", "strong", "test", 692, "data.test_set=validation"), "eval/public", "eval/public.tsv"),
    )
}  # fmt: skip
"""By name, with the folder of its recordings below audio/ and its table below metadata/."""


@DATASETS.register("desed")
@dataclass(frozen=True)
class DesedConfig(DataConfig):
    """The published folder: audio/ and metadata/ (of DCASE's copy: dataset/). Folders of audio may end in _16k.

    Many of its clips can no longer be downloaded. Those that are missing are counted, and the result says how many of
    each subset were here.
    """

    root: str = "data"
    """Folder that holds audio/ and metadata/."""
    has_synthetic: bool = True
    """Whether the synthetic soundscapes are used, in training and in validation."""
    has_strong_real: bool = True
    """Whether the real clips with strong labels, of AudioSet, are trained on; the plain baseline does without them."""
    has_weak: bool = True
    """Whether the clips with weak labels are used."""
    has_unlabelled: bool = True
    """Whether the clips without labels are trained on, by consistency with a teacher."""
    weak_validation_share: float = 0.1
    """Share of the rows of weak.tsv that is held out for validation, 0 to below 1; by the baseline's own random
    numbers, so that a complete table gives the baseline's clips, wherever some of their files are missing."""
    test_set: Literal["validation", "public"] = "validation"
    """What is tested on: DCASE's validation set, by which systems are developed, or the public evaluation set."""
    median_frames: int = 7
    """Window of the median filter on the scores, in the model's frames, odd; 7 of 64 ms as published, 11 of fmn's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share = self.weak_validation_share
        require(0 <= share < 1, "data.weak_validation_share", share, "0 to below 1")
        has_training = self.has_synthetic or self.has_strong_real or self.has_weak
        require(
            has_training, "data.has_weak", False, "true without synthetic and strong_real clips: nothing has labels"
        )
        has_validation = self.has_synthetic or (self.has_weak and share > 0)
        words = "true without weak clips that are held out, or no clip is left for validation"
        require(has_validation, "data.has_synthetic", False, words)

    def used_subsets(self) -> list[str]:
        """Names of the subsets that the options leave."""
        used = {
            "synthetic": self.has_synthetic, "strong_real": self.has_strong_real, "weak": self.has_weak,
            "unlabelled": self.has_unlabelled, "synthetic_validation": self.has_synthetic, self.test_set: True,
        }  # fmt: skip
        return [name for name in SUBSETS if used.get(name)]

    def load(self) -> Splits:
        """Read the clips and their labels; see `DataConfig.load`."""
        root = Path(self.root)
        check_root(root)
        found = []
        skipped: list[str] = []
        labels: Mapping[str, Sequence[Event]]
        for subset, audio, table in (SUBSETS[name] for name in self.used_subsets()):
            folder = _find_folder(root, audio, subset)
            if table is None:
                paths = find_audio(folder, skipped if self.on_error == "skip" else None)
                labels = {path.relative_to(folder).as_posix(): () for path in paths}
            else:
                path = _find(root, f"metadata/{table}", subset)
                labels = read_weak_labels(path, CLASSES) if subset.kind == "weak" else read_strong_labels(path)
            splits = read_subset(subset, folder, labels, CLASSES, self)
            if subset.kind == "weak":
                splits = _hold_out(splits, held_out(list(labels), self.weak_validation_share))
            found.append(splits)
        splits = join_splits(CLASSES, found)
        splits = replace(splits, skipped=(*skipped, *splits.skipped))
        if not splits.validation:
            raise DataError(
                f"data.root={root}: none of the weak clips for validation is here; give data.has_synthetic=true"
            )
        _check_parts(splits)
        for note in overhang_notes(splits):
            logger.info("%s: %s", root, note)
        return splits


def check_root(root: Path) -> None:
    """Raise a DataError unless a folder looks like DESED; it names one inside that does."""
    if all((root / name).is_dir() for name in ("audio", "metadata")):
        return
    inside = (path.parent for path in sorted([*root.glob("*/metadata"), *root.glob("*/*/metadata")]))
    better = next((path for path in inside if (path / "audio").is_dir() and path.name not in BASES), None)
    advice = (
        f"did you mean data.root={better}?" if better else "give the folder that holds audio/ and metadata/ of DESED"
    )
    lack = "no audio/ and metadata/ in it" if root.is_dir() else "no such directory"
    raise DataError(f"data.root={root}: {lack}; {advice}")


def _find(root: Path, name: str, subset: Subset) -> Path:
    for base in BASES:
        if (root / base / name).exists():
            return root / base / name
    raise DataError(f"{root / name}: is missing, of the subset {subset.name}{subset.advice}")


def _find_folder(root: Path, audio: str, subset: Subset) -> Path:
    """Where a subset's recordings lie; those of the original rate, if there are two folders."""
    for base in BASES:
        for ending in ("", "_16k"):
            if (folder := root / base / "audio" / f"{audio}{ending}").is_dir():
                return folder
    words = f"no such directory, with or without _16k, for the subset {subset.name}"
    raise DataError(f"{root / 'audio' / audio}: {words}{subset.advice}")


def read_strong_labels(path: Path) -> Mapping[str, Sequence[Event]]:
    """Events by file name; raise a DataError for a row that makes no sense, or another class."""
    events = read_annotations(path, "tsv").events
    for name, own in events.items():
        for event in own:
            check_label(f"{path}: {name}", event.label, CLASSES)
    return events


def held_out(names: Sequence[str], share: float) -> frozenset[str]:
    """Names that the baseline holds out for validation: those that a draw of the others, in their order, leaves."""
    kept = np.random.RandomState(SPLIT_SEED).choice(len(names), round((1 - share) * len(names)), replace=False)
    return frozenset(names) - {names[index] for index in kept}


def _hold_out(splits: Splits, names: frozenset[str]) -> Splits:
    """Move clips from the training to the validation part."""
    train: tuple[Clip, ...] = tuple(clip for clip in splits.train if file_name(clip) not in names)
    validation = tuple(clip for clip in splits.train if file_name(clip) in names)
    expected = (splits.expected or {})["train"]
    parts = {"train": expected - len(names), "validation": len(names)}
    return replace(splits, train=train, validation=validation, expected=parts)


def _check_parts(splits: Splits) -> None:
    """Raise a DataError for a real clip that is learnt from and tested on."""
    learnt = {
        file_name(clip): clip.subset
        for clip in (*splits.train, *splits.validation)
        if not clip.subset.startswith("synthetic")
    }
    for clip in splits.test:
        if other := learnt.get(file_name(clip)):
            raise DataError(
                f"{clip.audio}: stands in the subsets {other} and {clip.subset}, so that it is learnt from and tested "
                f"on; remove it from {other}, else scores mean nothing"
            )


def file_name(clip: Clip) -> str:
    """Name of a clip's file in its subset."""
    return clip.id.partition("/")[2]
