"""AudioSet Strong: 447 classes with events in time.

Hershey et al., "The benefit of temporally-strong labels in audio event classification", ICASSP 2021
(https://arxiv.org/abs/2105.07031).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.data.events import Group
from efficient_sed.data.labels import audioset_evaluated_labels, audioset_labels, audioset_vocabulary
from efficient_sed.data.sets._audioset import AudioSetConfig, WeakClips
from efficient_sed.data.sets._audioset_layouts import Layout, Side
from efficient_sed.data.sets._audioset_tables import Annotations
from efficient_sed.data.sets.audioset_weak import AudioSetWeakConfig
from efficient_sed.registry import DATASETS


@DATASETS.register("audioset_strong")
@dataclass(frozen=True)
class AudioSetStrongConfig(AudioSetConfig):
    """Training and evaluation set with events, scored on the 407 classes that occur in both."""

    weak_root: str | None = None
    """Folder of AudioSet's weak set, in a layout that data.layout allows. Its clips, without those that are
    validated or evaluated here, are the subset `weak` of the training part: they have no labels of the 447 classes and
    are for a teacher; the labels of the weak set only decide how often each is drawn (train.batch_clips)."""

    OFFICIAL: ClassVar[Mapping[Side, int]] = {"train": 103_463, "eval": 16_996}
    location_keys: ClassVar[tuple[str, ...]] = ("root", "weak_root")

    def classes(self) -> tuple[str, ...]:
        """Labels in logit order."""
        return audioset_labels("strong")

    def evaluated_classes(self) -> tuple[str, ...]:
        """Labels that metrics are taken over."""
        return audioset_evaluated_labels()

    def annotations(self, layout: Layout, side: Side) -> Annotations:
        """Events of the clips of one side."""
        return layout.strong(side, audioset_vocabulary("strong"))

    def weak_clips(self, held_out: Collection[str]) -> WeakClips:
        """Clips of the weak set, without those that are held out."""
        if not self.weak_root:
            return WeakClips()
        return WeakTrainingSide(
            root=self.weak_root, layout=self.layout, num_workers=self.num_workers, on_error=self.on_error
        ).training_clips(held_out)


@dataclass(frozen=True)
class WeakTrainingSide(AudioSetWeakConfig):
    """Balanced and unbalanced training set, as AudioSet Strong's extra clips."""

    ROOT_KEY: ClassVar[str] = "data.weak_root"
    GROUP: ClassVar[Group] = Group("unlabelled", "weak")
