"""TUT Sound Events 2016: 22 recordings at home and in residential areas, four folds; the data of DCASE 2016 Task 3.

Mesaros et al., "TUT database for acoustic scene classification and sound event detection", EUSIPCO 2016
(https://doi.org/10.1109/EUSIPCO.2016.7760424; data: https://zenodo.org/record/45759).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.data.sets._tut import TutConfig
from efficient_sed.registry import DATASETS


@DATASETS.register("tut_sed_2016")
@dataclass(frozen=True)
class TutSed2016Config(TutConfig):
    """The published development set, of one scene at a time: systems are trained and scored for each."""

    title: ClassVar[str] = "TUT Sound Events 2016"
    scenes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "home": (
            "(object) rustling", "(object) snapping", "cupboard", "cutlery", "dishes", "drawer", "glass jingling",
            "object impact", "people walking", "washing dishes", "water tap running",
        ),
        "residential_area": (
            "(object) banging", "bird singing", "car passing by", "children shouting", "people speaking",
            "people walking", "wind blowing",
        ),
    }  # fmt: skip

    scene: str = "home"
    """Scene whose recordings are used: home, with 11 classes, or residential_area, with seven."""
