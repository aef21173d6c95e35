"""What computes PSDS: this project's exact sweep, or a package of the extra [eval]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np

from efficient_sed.errors import ConfigError, nearest, require_package
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.result import PsdsResult

BackEnd = Literal["exact", "sed_scores_eval", "psds_eval"]


class PsdsBackEnd(Protocol):
    """Takes in clip after clip, in any order, and gives the score of all."""

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Take in one clip.

        Scores (frames, classes), its events (onset_s, offset_s, label) and its length in seconds.
        """

    def merge(self, other: Any) -> None:
        """Take over the clips of another one."""

    def compute(self) -> PsdsResult:
        """The score of the clips so far."""


def create_back_end(
    name: BackEnd,
    classes: Sequence[str],
    durations: Sequence[float],
    frame_hop_s: float,
    parameters: PsdsParameters,
    *,
    keeps_clips: bool = False,
) -> PsdsBackEnd:
    """An empty accumulator; arguments as for `PsdsAccumulator`, of which the other back ends need fewer.

    Raises:
        ConfigError: If there is no such back end.
        MissingDependencyError: If it is not installed.
    """
    require_back_end(name)
    if name == "exact":
        return PsdsAccumulator(
            classes, durations, frame_hop_s=frame_hop_s, parameters=parameters, keeps_clips=keeps_clips
        )
    from efficient_sed.metrics.psds._libraries import LIBRARIES

    return LIBRARIES[name](classes, frame_hop_s, parameters)


def require_back_end(name: BackEnd) -> None:
    """Refuse a back end now that cannot score later.

    Raises:
        ConfigError: If there is none of this name.
        MissingDependencyError: If its package is not installed.
    """
    if name not in get_args(BackEnd):
        raise ConfigError(f"unknown back end {name!r}; {nearest(name, get_args(BackEnd))}")
    if name != "exact":
        require_package(f"back_end={name}", name, "eval")
