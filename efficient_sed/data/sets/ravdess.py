"""RAVDESS: 1,440 spoken phrases of 24 actors in eight emotions, in four folds of six actors.

Livingstone and Russo, "The Ryerson audio-visual database of emotional speech and song", PLoS ONE 2018
(https://doi.org/10.1371/journal.pone.0196391).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from efficient_sed.data.sets._folds import FoldsConfig
from efficient_sed.errors import DataError
from efficient_sed.registry import DATASETS

NUM_ACTORS = 24
AUDIO_ONLY, SPEECH = "03", "01"
_NAME = re.compile(r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)\.wav")
PATTERN = "03-01-EMOTION-INTENSITY-STATEMENT-REPETITION-ACTOR.wav, two digits each"


@DATASETS.register("ravdess")
@dataclass(frozen=True)
class RavdessConfig(FoldsConfig):
    """The published folder of spoken audio, Actor_01/ to Actor_24/; a fold is six actors in their order."""

    title: ClassVar[str] = "RAVDESS"
    classes: ClassVar[tuple[str, ...]] = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    num_folds: ClassVar[int] = 4
    layout: ClassVar[str] = "Actor_01/ to Actor_24/"
    audio_folder: ClassVar[str] = ""

    fold: int = 1
    """The fold to test on, 1 to 4; in a sweep `folds=all` takes each in turn."""
    clip_seconds: float = 3.0
    """Training clips are cropped at random or zero-padded to this length; longer files are evaluated in windows."""

    def read_labels(self, root: Path) -> Mapping[int, Mapping[str, str]]:
        """Label of each file, by fold."""
        by_fold: dict[int, dict[str, str]] = {}
        for folder in sorted(root.glob("Actor_*")):
            for path in sorted(folder.glob("*.wav")):
                actor, label = self._parse(path)
                if folder.name != f"Actor_{actor:02}":
                    raise DataError(
                        f"{path}: its name says actor {actor:02}, its folder {folder.name}: the actor would stand on "
                        "both sides of a fold"
                    )
                fold = (actor - 1) * self.num_folds // NUM_ACTORS + 1
                by_fold.setdefault(fold, {})[f"{folder.name}/{path.name}"] = label
        if not by_fold:
            raise DataError(f"data.root={self.root}: holds no Actor_NN/*.wav; give the folder that holds {self.layout}")
        return by_fold

    def _parse(self, path: Path) -> tuple[int, str]:
        """Actor and emotion of a file's name."""
        match = _NAME.fullmatch(path.name)
        if match is None or not 1 <= int(match["actor"]) <= NUM_ACTORS:
            raise DataError(
                f"{path}: not a name of RAVDESS, which are {PATTERN}, emotions 01 to 08, actors 01 to {NUM_ACTORS}"
            )
        if (match["modality"], match["channel"]) != (AUDIO_ONLY, SPEECH):
            raise DataError(
                f"{path}: modality {match['modality']} and channel {match['channel']}; this data set is spoken audio "
                "alone, 03-01"
            )
        return int(match["actor"]), self.classes[int(match["emotion"]) - 1]
