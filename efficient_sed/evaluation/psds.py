"""Polyphonic sound detection score, PSDS1.

Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020 (https://arxiv.org/abs/1910.08440), over all
thresholds as in Ebbers et al., "Threshold independent evaluation of sound event detection scores", ICASSP 2022
(https://arxiv.org/abs/2201.13148).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.errors import ConfigError, DataError, require_package

BACK_END = "sed_scores_eval"


@dataclass(frozen=True)
class PsdsResult:
    """PSDS1 and how it was computed."""

    psds: float
    """With `alpha_st` standard deviations over classes taken off; in [0, 1]."""
    macro: float
    """Plain mean over classes of the single-class values: the number that papers quote."""
    per_class: Mapping[str, float]
    """Of classes that have events in the ground truth."""
    num_clips: int
    variant: Mapping[str, Any]
    """Parameters, back end and its version: two values compare only if these agree."""


def psds1(
    scores: Mapping[str, np.ndarray],
    ground_truth: Mapping[str, Sequence[Sequence[Any]]],
    durations: Mapping[str, float],
    *,
    classes: Sequence[str],
    frame_hop_s: float,
    dtc: float = 0.7,
    gtc: float = 0.7,
    alpha_st: float = 1.0,
    max_efpr: float = 100.0,
) -> PsdsResult:
    """Score detections over all thresholds, without cross-trigger cost.

    Classes that never occur in the ground truth are left out; overlapping events of one class count as one.

    Args:
        scores: Per clip an array (frames, classes); frame k covers [k, k + 1) * frame_hop_s, cut at the clip's duration.
        ground_truth: Per clip its events (onset_s, offset_s, label).
        durations: Per clip its length in seconds.
        classes: Labels of the score columns.
        max_efpr: False positives an hour at which the curve is cut.

    Raises:
        DataError: If clips, shapes, labels or times make no sense; the message names clip and value.
        MissingDependencyError: If the back end is not installed.
    """
    require_package("PSDS", BACK_END, "eval")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # by a package that the back end needs
        from sed_scores_eval import intersection_based
    events = _validated(scores, ground_truth, durations, classes)
    present = [label for label in classes if any(event.label == label for clip in events.values() for event in clip)]
    if not present:
        raise DataError("PSDS needs at least one event in the ground truth, found none")
    columns = [list(classes).index(label) for label in present]
    frames = {clip: _score_frame(array[:, columns], present, durations[clip], frame_hop_s) for clip, array in scores.items()}
    truth = {clip: [tuple(event[:3]) for event in clip_events] for clip, clip_events in events.items()}
    value, per_class, _, _ = intersection_based.psds(
        scores=frames, ground_truth=truth, audio_durations=dict(durations), dtc_threshold=dtc, gtc_threshold=gtc, cttc_threshold=None,
        alpha_ct=0.0, alpha_st=alpha_st, max_efpr=max_efpr, unit_of_time="hour", num_jobs=1,
    )  # fmt: skip
    single = {label: float(per_class[label]) for label in present}
    variant = {
        "metric": "psds1", "dtc": dtc, "gtc": gtc, "alpha_ct": 0.0, "alpha_st": alpha_st, "max_efpr": max_efpr,
        "num_classes": len(present), "back_end": BACK_END, "back_end_version": version(BACK_END),
    }  # fmt: skip
    return PsdsResult(float(value), float(np.mean(list(single.values()))), single, len(scores), variant)


def _validated(
    scores: Mapping[str, np.ndarray], ground_truth: Mapping[str, Sequence[Sequence[Any]]], durations: Mapping[str, float], classes: Sequence[str]
) -> dict[str, tuple[Event, ...]]:
    if not scores:
        raise DataError("PSDS needs at least one clip, got none")
    for name, other in (("ground_truth", ground_truth), ("durations", durations)):
        if different := scores.keys() ^ other.keys():
            raise DataError(f"scores and {name} name different clips, such as {min(different)!r}")
    events = {}
    for clip, array in scores.items():
        if array.ndim != 2 or array.shape[1] != len(classes) or len(array) == 0:
            raise DataError(f"clip {clip!r}: scores have shape {array.shape}; needed: (frames, {len(classes)} classes)")
        if np.isnan(array).any():
            column = int(np.argwhere(np.isnan(array))[0, 1])
            raise DataError(f"clip {clip!r}: a score of class {classes[column]!r} is not a number")
        if not durations[clip] > 0:
            raise DataError(f"clip {clip!r}: duration {durations[clip]} s must be above 0")
        for onset_s, offset_s, label, *_ in ground_truth[clip]:
            if label not in classes:
                raise DataError(f"clip {clip!r}: event label {label!r} is not among the {len(classes)} classes")
            if not 0 <= onset_s < offset_s:
                raise DataError(f"clip {clip!r}: event {label!r} has onset {onset_s} s and offset {offset_s} s; the onset must come first")
        events[clip] = merge_overlapping(Event(float(e[0]), float(e[1]), e[2]) for e in ground_truth[clip])
    return events


def _score_frame(array: np.ndarray, labels: Sequence[str], duration_s: float, frame_hop_s: float) -> Any:
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    borders = np.minimum(np.round(np.arange(len(array) + 1) * frame_hop_s, 6), duration_s)
    if not (np.diff(borders) > 0).all():
        raise ConfigError(f"{len(array)} frames of {frame_hop_s} s are more than a clip of {duration_s:g} s has")
    return create_score_dataframe(array, borders, list(labels))
