"""TUT Sound Events, real recordings of minutes in folders by scene: what its releases of 2016 and 2017 share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from efficient_sed.data.annotations.tables import read_text
from efficient_sed.data.events import Event
from efficient_sed.data.sets._folds import FoldsConfig
from efficient_sed.data.sets._text import read_rows
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError, nearest, require

HINT = "data.root=DIR is the folder that holds audio/, meta/ and evaluation_setup/ of the development set"


@dataclass(frozen=True)
class TutConfig(FoldsConfig):
    """The published development set: audio/SCENE/a001.wav, meta/SCENE/a001.ann with rows of `onset offset label`.

    evaluation_setup/SCENE_fold1_test.txt names the recordings that fold 1 tests on, and so on.
    """

    is_single_label: ClassVar[bool] = False
    num_folds: ClassVar[int] = 4
    layout: ClassVar[str] = "audio/, meta/ and evaluation_setup/"
    scenes: ClassVar[Mapping[str, tuple[str, ...]]]
    """Classes by scene, each sorted."""

    fold: int = 1
    """The fold to test on, 1 to 4; in a sweep `folds=all` takes each in turn."""
    scene: str = ""
    """Scene whose recordings are used."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scene in self.scenes, "data.scene", self.scene, nearest(self.scene, self.scenes))

    def class_list(self) -> tuple[str, ...]:
        """Labels of the scene in logit order."""
        return self.scenes[self.scene]

    def read_labels(self, root: Path) -> Mapping[int, Mapping[str, Sequence[Event]]]:
        """Events of each recording, by fold."""
        by_fold: dict[int, dict[str, Sequence[Event]]] = {}
        seen: dict[str, str] = {}
        for fold in range(1, self.num_folds + 1):
            path = root / "evaluation_setup" / f"{self.scene}_fold{fold}_test.txt"
            for number, line in enumerate(read_text(path, HINT).splitlines(), 1):
                if not line.strip():
                    continue
                place, name = f"{path}:{number}", canonical(line.split("\t")[0].strip())
                if not name.startswith(start := f"audio/{self.scene}/"):
                    raise DataError(f"{place}: {name!r} is not a file in {start}")
                if name in seen:
                    raise DataError(
                        f"{place}: {name} is listed a second time, first in {seen[name]}; a file belongs to one fold"
                    )
                seen[name] = place
                meta = root / "meta" / self.scene / f"{Path(name).stem}.ann"
                by_fold.setdefault(fold, {})[f"{self.scene}/{Path(name).name}"] = read_rows(
                    meta, self.class_list(), hint=HINT
                )
        return by_fold
