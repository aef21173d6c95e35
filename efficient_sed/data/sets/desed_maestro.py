"""DESED and MAESTRO Real together, 27 classes: the data of DCASE 2024 Task 4.

Each set annotates its own classes, and losses leave the others out. As in the baseline
(https://github.com/DCASE-REPO/DESED_task, recipes/dcase2024_task4_baseline), MAESTRO's training clips also count as
annotated with three classes of DESED: speech and dishes are in its own labels, by other names, and no dog is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from efficient_sed.data.events import Clip, Event, Splits
from efficient_sed.data.sets import desed, maestro_real
from efficient_sed.data.sets._subsets import join_splits
from efficient_sed.registry import DATASETS

CLASSES = (*desed.CLASSES, *maestro_real.CLASSES)
ALIASES = {
    "people talking": "Speech", "children voices": "Speech", "announcement": "Speech", "cutlery and dishes": "Dishes",
}  # fmt: skip
"""Classes of DESED that classes of MAESTRO Real are, too."""
ANNOTATED = (*maestro_real.CLASSES, "Speech", "Dishes", "Dog")
"""Classes that count as annotated in training clips of MAESTRO Real."""


@DATASETS.register("desed_maestro")
@dataclass(frozen=True)
class DesedMaestroConfig(desed.DesedConfig):
    """Both published folders, or the one that the baseline of DCASE 2024 makes (dataset/)."""

    maestro_root: str | None = None
    """Folder of MAESTRO Real; see data=maestro_real. Default null: the same as data.root."""
    test_set: Literal["validation", "public", "maestro"] = "validation"  # type: ignore[assignment]
    """What chooses the epoch and is tested on: ten classes of DESED, on DCASE's validation set or the public evaluation
    set, or eleven classes of MAESTRO Real. Each set is scored by itself, as in the challenge."""

    location_keys = ("root", "maestro_root")

    def load(self) -> Splits:
        """Read the clips and their labels; see `DataConfig.load`."""
        key = "data.root" if self.maestro_root is None else "data.maestro_root"
        own = super().load()
        maestro = maestro_real.read_maestro(Path(self.maestro_root or self.root), self, key)
        own = replace(
            own, train=_annotated(own.train, desed.CLASSES), validation=_annotated(own.validation, desed.CLASSES),
            test=_annotated(own.test, desed.CLASSES),
        )  # fmt: skip
        maestro = replace(
            maestro, train=tuple(map(_with_aliases, maestro.train)),
            validation=_annotated(maestro.validation, maestro_real.CLASSES),
            test=_annotated(maestro.test, maestro_real.CLASSES),
        )  # fmt: skip
        evaluated: tuple[str, ...]
        if self.test_set == "maestro":
            splits, evaluated = [_to_train(own), maestro], maestro_real.EVALUATED
        else:
            splits, evaluated = [own, _to_train(maestro)], desed.CLASSES
        return replace(join_splits(CLASSES, splits), evaluated_classes=evaluated)


def _to_train(splits: Splits) -> Splits:
    """The training part alone."""
    counts: dict[str, Any] = {
        "expected": splits.expected or {}, "num_skipped": splits.num_skipped, "overhang": splits.overhang,
    }  # fmt: skip
    kept: dict[str, Any] = {
        name: {part: each[part] for part in each if part == "train"} for name, each in counts.items()
    }
    return replace(splits, validation=(), test=(), **kept)


def _annotated(clips: Iterable[Clip], classes: tuple[str, ...]) -> tuple[Clip, ...]:
    return tuple(replace(clip, annotated=classes) for clip in clips)


def _with_aliases(clip: Clip) -> Clip:
    """A training clip of MAESTRO Real with its labels of DESED's classes, each the highest of those it stands for."""
    return replace(clip, events=tuple(sorted([*clip.events, *_aliases(clip.events)])), annotated=ANNOTATED)


def _aliases(events: Sequence[Event]) -> list[Event]:
    highest: dict[tuple[float, float, str], float] = {}
    for onset, offset, label, score in events:
        if label in ALIASES:
            place = onset, offset, ALIASES[label]
            highest[place] = max(score, highest.get(place, 0.0))
    return [Event(*place, score) for place, score in highest.items()]
