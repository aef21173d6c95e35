"""AudioSet with labels of whole clips: 527 classes, for tagging.

Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events", ICASSP 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.data.labels import audioset_labels, audioset_vocabulary
from efficient_sed.data.sets._audioset import AudioSetConfig
from efficient_sed.data.sets._audioset_layouts import Layout, Side
from efficient_sed.data.sets._audioset_tables import Annotations
from efficient_sed.registry import DATASETS


@DATASETS.register("audioset_weak")
@dataclass(frozen=True)
class AudioSetWeakConfig(AudioSetConfig):
    """Training and evaluation set for task=tagging; a label is an event as long as the clip."""

    # num_ytids in the heads of the official CSV files
    OFFICIAL: ClassVar[Mapping[Side, int]] = {"train": 22_160 + 2_041_789, "eval": 20_371}

    def classes(self) -> tuple[str, ...]:
        """Labels in logit order."""
        return audioset_labels("weak")

    def evaluated_classes(self) -> None:
        """Labels that metrics are taken over."""
        return

    def annotations(self, layout: Layout, side: Side) -> Annotations:
        """Events of the clips of one side."""
        return layout.weak(side, audioset_vocabulary("weak"))
