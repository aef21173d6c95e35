"""Soundscapes of your own sounds: training scenes are mixed as they are needed, those of validation and test once.

Salamon et al., "Scaper: a library for soundscape synthesis and augmentation", WASPAA 2017
(https://doi.org/10.1109/WASPAA.2017.8170052), is where scenes made of isolated sounds come from. Changed: no scene is
mixed twice in a training, and the sounds of the test part are never trained on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import audio_info
from efficient_sed.config.values import ONE_OR_LIST
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.annotations.tables import read_text
from efficient_sed.data.events import PARTS, Clip, Splits
from efficient_sed.data.mixing.find import (
    BACKGROUND,
    FOREGROUND,
    NEGATIVES,
    FoundSound,
    find_labelled,
    find_unlabelled,
    with_digests,
)
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.prepare import Plan, create_mixer, prepare
from efficient_sed.data.mixing.recipe import SceneRecipe
from efficient_sed.data.mixing.split import group_sounds
from efficient_sed.data.mixing.table import Kept, read_kept
from efficient_sed.data.parts import read_parts
from efficient_sed.data.spelling import canonical
from efficient_sed.data.storage.sources import AudioFile, Excerpt
from efficient_sed.errors import ConfigError, DataError, require
from efficient_sed.files.atomic_folder import write_folder
from efficient_sed.files.json import parse_json
from efficient_sed.registry import DATASETS

logger = logging.getLogger(__name__)
GENERATOR_VERSION = 2  # part of the folder's name: raise it when the same sounds and options would give other scenes
MAX_SCENES = 100_000
SETTINGS = "settings.json"
NEGATIVES_TEST = "negatives_test"
_NO_PART_OF_SCENES = ("num_workers", "median_frames", "on_error", "num_train", "root", "classes", "pseudo_labels")


@DATASETS.register("soundscapes")
@dataclass(frozen=True)
class SoundscapesConfig(MixingConfig):
    """Isolated sounds, mixed into scenes over a background."""

    location_keys: ClassVar[tuple[str, ...]] = ("root", "foreground", "background", "negatives", NEGATIVES_TEST)

    root: str = "datasets"
    """Folder that holds the scenes of validation and test, which are written once."""
    foreground: str = "sounds"
    """Folder of the sounds that are detected: LABEL/*, any audio, or a table `filename,category` beside audio/, as
    ESC-50 has it."""
    background: str | None = None
    """Folder of recordings that scenes lie over. Default null: coloured noise."""
    negatives: str | None = None
    """Folder of sounds that must not be detected: some are mixed into the scenes of training and validation, without a
    label; on the others false alarms are counted. Default null: none."""
    negatives_test: str | None = None
    """Folder of recordings on which false alarms are counted, and nothing is trained; all of data.negatives is then
    for training and validation. Default null: a share of data.negatives."""
    classes: tuple[str, ...] | None = field(default=None, metadata={ONE_OR_LIST: True})
    """Labels in logit order; sounds of others are left out. Default null: all, sorted."""
    clip_seconds: float = 10.0
    """Length of a scene in seconds, 1 to 3600, and of the windows in which longer recordings are scored."""
    median_frames: int = 3
    """Window of the median filter on scores, in frames of the model; odd. Short, as isolated sounds often are: longer
    windows are tuned on validation."""
    num_train: int = 800
    """Scenes of an epoch, 1 to 100000; each epoch has others."""
    num_validation: int = 100
    """Scenes that choose the epoch and tune post-processing, 1 to 100000."""
    num_test: int = 200
    """Scenes that results are computed on, 1 to 100000."""
    validation_share: float = 0.2
    """Share of each class's sounds that the validation scenes are mixed of, and nothing else; above 0."""
    test_share: float = 0.2
    """The same for the test scenes; both together below 1."""
    group_pattern: str | None = None
    """Regular expression on a file's path below its folder; files with the same first group, such as takes of one
    recording, stay in one part. Default null: each file for itself; with a table, its column src_file or else fold."""
    seed: int = 0
    """Seed of the division into parts, and of the scenes of validation and test, 0 or more. What is trained on depends
    on the seed of the run."""
    cache_mb: float = 2000.0
    """Sounds that are kept decoded beside the scenes, in one file of so many megabytes at most, which is mapped into
    memory: an hour takes 115. Others are decoded from their files each time they are drawn; 0 keeps none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_train", "num_validation", "num_test"):
            value = getattr(self, name)
            require(1 <= value <= MAX_SCENES, f"data.{name}", value, f"1 to {MAX_SCENES} scenes")
        for name in ("validation_share", "test_share"):
            require(0 < getattr(self, name) < 1, f"data.{name}", getattr(self, name), "above 0, below 1")
        both = self.validation_share + self.test_share
        rest = f"below 1 together with data.validation_share={self.validation_share:g}"
        require(both < 1, "data.test_share", self.test_share, rest)
        require(self.seed >= 0, "data.seed", self.seed, "0 or more")
        require(self.cache_mb >= 0, "data.cache_mb", self.cache_mb, "0 or more")
        names = self.classes
        is_list = names is None or len(set(names)) == len(names) > 0
        require(is_list, "data.classes", names, "at least one label, none twice")
        for name in ("pseudo_labels", "clip_teacher"):
            instead = "null with data=soundscapes, whose scenes are never the same; give train.teacher=NAME"
            require(getattr(self, name) is None, f"data.{name}", getattr(self, name), instead)
        self._check_pattern()

    def _check_pattern(self) -> None:
        if self.group_pattern is None:
            return
        try:
            groups = re.compile(self.group_pattern).groups
        except re.error as error:
            raise ConfigError(f"data.group_pattern={self.group_pattern} is no regular expression: {error}") from error
        has_group = "an expression with a group in brackets, such as '(.*)_take'"
        require(groups > 0, "data.group_pattern", self.group_pattern, has_group)

    def load(self) -> Splits:
        """Mix and write what is scored unless it is there, and return its clips; see `DataConfig.load`."""
        folders = self._folders()
        found = self._find(folders)
        digest = self._digest(found)
        counts = f"{self.num_validation}-{self.num_test}x{self.clip_seconds:g}s"
        folder = Path(self.root) / f"soundscapes_v{GENERATOR_VERSION}_seed{self.seed}_{counts}_{digest[:12]}"
        scored = found.pop(NEGATIVES_TEST, None)
        if not folder.is_dir():
            keys = {role: f"data.{role}={place}" for role, place in folders.items()}
            write_folder(folder, partial(self._write, found, keys))
        return self._read(folder, found, scored, digest)

    def _folders(self) -> dict[str, Path]:
        """Folders of sounds by role."""
        given = {role: getattr(self, role) for role in (FOREGROUND, BACKGROUND, NEGATIVES, NEGATIVES_TEST)}
        return {role: Path(folder) for role, folder in given.items() if folder is not None}

    def _find(self, folders: Mapping[str, Path]) -> dict[str, list[FoundSound]]:
        """Sounds by role, with digests and groups.

        Raises:
            DataError: If a sound has two roles or two classes.
        """
        found = {}
        for role, folder in folders.items():
            key = f"data.{role}"
            classes = self.classes and tuple(map(canonical, self.classes))
            sounds = find_labelled(key, folder, classes) if role == FOREGROUND else find_unlabelled(key, folder)
            found[role] = group_sounds(with_digests(sounds, self.pool_size), self.group_pattern)
        seen: dict[str, tuple[str, FoundSound]] = {}
        for role, sounds in found.items():
            for sound in sounds:
                other_role, other = seen.setdefault(sound.digest, (role, sound))
                if other_role != role:
                    twice = f"data.{role}={folders[role]}: {sound.path} is a sound of data.{other_role}, too"
                    raise DataError(f"{twice} ({other.path}); remove one of them")
                if other.label != sound.label:
                    both = f"{other.path} and {sound.path} are the same sound in two classes"
                    raise DataError(f"data.{role}={folders[role]}: {both}; remove one of them")
        return found

    def _settings(self) -> dict[str, Any]:
        """Options that decide the scenes."""
        left_out = (*_NO_PART_OF_SCENES, *self.location_keys)
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in left_out}
        return {**own, "generator": GENERATOR_VERSION, "channel": self.channel_number, **self._negative_shares()}

    def _negative_shares(self) -> dict[str, float]:
        return {"negative_test_share": 0.0 if self.negatives_test else self.test_share}

    def _digest(self, found: Mapping[str, Sequence[FoundSound]]) -> str:
        """Hash of the sounds and of what decides the scenes."""
        sounds = [(role, sorted(own[1:] for own in some)) for role, some in found.items() if role != NEGATIVES_TEST]
        return hashlib.sha256(json.dumps([self._settings(), sounds]).encode()).hexdigest()

    def _write(self, found: Mapping[str, Sequence[FoundSound]], keys: Mapping[str, str], folder: Path) -> None:
        shares = {"validation": self.validation_share, "test": self.test_share}
        by_role = dict.fromkeys((FOREGROUND, BACKGROUND), shares)
        by_role[NEGATIVES] = {**shares, "test": self._negative_shares()["negative_test_share"]}
        num_scenes = {"validation": self.num_validation, "test": self.num_test}
        skipped = prepare(self, Plan(by_role, num_scenes, self.seed, self.cache_mb * 1e6), found, keys, folder)
        text = json.dumps({**self._settings(), "skipped": skipped}, indent=1, ensure_ascii=False)
        (folder / SETTINGS).write_text(text + "\n", encoding="utf-8")

    def _read(
        self,
        folder: Path,
        found: Mapping[str, Sequence[FoundSound]],
        scored: Sequence[FoundSound] | None,
        digest: str,
    ) -> Splits:
        skipped = _read_skipped(folder)
        if skipped and self.on_error == "raise":
            raise DataError(f"{skipped[0]}; data.on_error=skip leaves such files out")
        paths = {(role, sound.name): sound.path for role, sounds in found.items() for sound in sounds}
        kept = read_kept(folder, paths)
        labels = {own.sound.label for own in kept if own.role == FOREGROUND}
        classes = tuple(map(canonical, self.classes)) if self.classes else tuple(sorted(labels))
        events = {part: read_annotations(folder / f"{part}.tsv", "tsv").events for part in PARTS if part != "train"}
        audio = dict.fromkeys(PARTS, folder / "audio")
        splits = read_parts(audio, events, classes, "raise", self.pool_size, ("train",), skipped)
        mixer = create_mixer(self, kept, "train", folder)
        train = tuple(SceneRecipe(mixer, digest, self.seed, index).clip() for index in range(self.num_train))
        unreadable: list[str] = []
        negatives = tuple(self._whole(scored, unreadable) if scored else self._kept_out(kept))
        return replace(splits, train=train, negatives=negatives, skipped=(*splits.skipped, *unreadable))

    def _whole(self, sounds: Sequence[FoundSound], unreadable: list[str]) -> Iterator[Clip]:
        for sound in sounds:
            audio = AudioFile(sound.path, self.channel_number, sound.digest)
            try:
                yield Clip(f"{NEGATIVES}/{sound.name}", audio, audio_info(sound.path).duration_s, ())
            except DataError as error:
                if self.on_error == "raise":
                    raise DataError(f"{error}; data.on_error=skip leaves such files out") from error
                unreadable.append(str(error))

    def _kept_out(self, kept: Sequence[Kept]) -> Iterator[Clip]:
        """Negatives of the test part: files, or stretches of those that other parts have, too."""
        uses = Counter(own.name for own in kept if own.role == NEGATIVES)
        for own in kept:
            if (own.role, own.part) != (NEGATIVES, "test"):
                continue
            name, audio = f"{NEGATIVES}/{own.name}", AudioFile(own.sound.path, self.channel_number)
            seconds = own.sound.size / SAMPLE_RATE
            if uses[own.name] == 1:
                yield Clip(name, audio, audio_info(own.sound.path).duration_s, ())
            else:
                yield Clip(name, Excerpt(audio, own.sound.start_s, seconds), seconds, ())


def _read_skipped(folder: Path) -> list[str]:
    """Messages about sounds that were left out when the scenes were mixed; a DataError if they are not there."""
    advice = f"delete {folder}, and it is written again"
    try:
        skipped: list[str] = parse_json(read_text(folder / SETTINGS, advice))["skipped"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / SETTINGS}: damaged ({error}); {advice}") from error
    return skipped
