"""TUT Sound Events 2017: 24 recordings in streets, six classes, four folds; the data of DCASE 2017 Task 3.

Mesaros et al., "DCASE 2017 challenge setup: tasks, datasets and baseline system", DCASE 2017
(https://zenodo.org/record/814831).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.data.sets._tut import TutConfig
from efficient_sed.registry import DATASETS


@DATASETS.register("tut_sed_2017")
@dataclass(frozen=True)
class TutSed2017Config(TutConfig):
    """The published development set, with its verified annotations."""

    title: ClassVar[str] = "TUT Sound Events 2017"
    scenes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "street": ("brakes squeaking", "car", "children", "large vehicle", "people speaking", "people walking"),
    }

    scene: str = "street"
    """Scene whose recordings are used; street is the only one."""
