"""AudioSet Strong: 447 classes with events in time.

Hershey et al., "The benefit of temporally-strong labels in audio event classification", ICASSP 2021 (https://arxiv.org/abs/2105.07031).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.data._audioset import AudioSetConfig
from efficient_sed.data._audioset_layouts import Layout, Side
from efficient_sed.data._audioset_tables import Annotations
from efficient_sed.data.labels import audioset_evaluated_labels, audioset_labels, audioset_vocabulary
from efficient_sed.registry import DATASETS


@DATASETS.register("audioset_strong")
@dataclass(frozen=True)
class AudioSetStrongConfig(AudioSetConfig):
    """Training and evaluation set with events; scored on the 407 classes that occur in both, clips with none of them left out."""

    OFFICIAL: ClassVar[Mapping[Side, int]] = {"train": 103_463, "eval": 16_996}

    def classes(self) -> tuple[str, ...]:
        return audioset_labels("strong")

    def evaluated_classes(self) -> tuple[str, ...]:
        return audioset_evaluated_labels()

    def annotations(self, layout: Layout, side: Side) -> Annotations:
        return layout.strong(side, audioset_vocabulary("strong"))
