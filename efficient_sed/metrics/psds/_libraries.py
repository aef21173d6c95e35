"""PSDS by other packages, to compare with. Both keep all scores until the end.

They are given classes by number: sed_scores_eval fails at labels with a backslash, or called onset or offset,
psds_eval at one that it uses itself. Both fail with a single class, which has no other one to trigger: psds_eval
gives 0.0 (https://github.com/turpaultn/DESED/issues/63), sed_scores_eval fails.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_scores
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.metrics.psds._checks import check_clip, check_columns
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.result import NO_EVENTS, PsdsResult, describe_variant
from efficient_sed.metrics.psds.roc import Curve, area, pool_classes

Detection = tuple[str, float, float, str]
"""Clip, onset and offset in seconds, label."""
NUM_THRESHOLDS = 50  # of psds_eval, linear in [0, 1], as its authors take them
# Of these packages: what they use is deprecated, equal operating points are left out, rates of classes without
# detections are not numbers.
_ADVICE = (
    (Warning, "pkg_resources is deprecated"),
    (DeprecationWarning, "Conversion of an array with ndim > 0"),
    (FutureWarning, ""),
    (UserWarning, "A similar operating point exists"),
    (RuntimeWarning, ""),
)


class _Clip(NamedTuple):
    """What is kept of a clip."""

    scores: np.ndarray
    borders: np.ndarray
    """Times of the frames' borders in seconds, (frames + 1,)."""
    events: tuple[Event, ...]
    duration_s: float


Scores = Mapping[str, np.ndarray]
"""By clip, (frames, classes that occur)."""
Events = Mapping[str, Sequence[tuple[float, float, str]]]
"""By clip onset, offset in seconds and the number of the class as text."""


class _LibraryPsds(ABC):
    package: str

    def __init__(self, classes: Sequence[str], frame_hop_s: float, parameters: PsdsParameters) -> None:
        check_columns(classes, frame_hop_s)
        self.classes, self.frame_hop_s, self.parameters = tuple(classes), frame_hop_s, parameters
        self._columns = {label: column for column, label in enumerate(self.classes)}
        self._clips: dict[str, _Clip] = {}

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Keep one clip; as `PsdsAccumulator.update`."""
        array, rows, borders = check_clip(clip_id, scores, events, duration_s, self._columns, self.frame_hop_s)
        check_scores(f"clip {clip_id!r}", array, self.classes)
        self.check_range(clip_id, array)
        if clip_id in self._clips:
            raise DataError(f"clip {clip_id!r} came before")
        merged = tuple(Event(onset_s, offset_s, self.classes[column]) for column, onset_s, offset_s in rows)
        self._clips[clip_id] = _Clip(array, borders, merged, float(duration_s))

    def check_range(self, clip_id: str, scores: np.ndarray) -> None:
        """Raise a DataError unless the package can take the scores (frames, classes); any number will do."""
        del clip_id, scores

    def merge(self, other: _LibraryPsds) -> None:
        """Take over the clips of another one."""
        self._clips |= other._clips

    def compute(self) -> PsdsResult:
        """The score of the clips so far."""
        found = {event.label for clip in self._clips.values() for event in clip.events}
        present = [label for label in self.classes if label in found]
        if not present:
            raise DataError(NO_EVENTS)
        columns = [self.classes.index(label) for label in present]
        names = [f"{column:0{len(str(len(self.classes)))}}" for column in columns]  # in the order of sorted names
        scores = {clip_id: clip.scores[:, columns] for clip_id, clip in self._clips.items()}
        name_of = dict(zip(present, names, strict=True))
        events = {
            clip_id: [(event.onset_s, event.offset_s, name_of[event.label]) for event in clip.events]
            for clip_id, clip in self._clips.items()
        }
        with warnings.catch_warnings():
            for category, message in _ADVICE:
                warnings.filterwarnings("ignore", category=category, message=message)
            try:
                psds, curves = self._compute(names, scores, events)
            except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise self._failure(f"{type(error).__name__}: {error}") from error
        if not np.isfinite(np.concatenate([[psds], *(points for curve in curves for points in curve)])).all():
            raise self._failure("its result is not a number")
        per_class = dict(zip(present, curves, strict=True))
        single = {label: area(curve, self.parameters.max_efpr) for label, curve in per_class.items()}
        roc = pool_classes(per_class, self.parameters.alpha_st)
        variant = describe_variant(self.parameters, len(present), self.package, version(self.package))
        return PsdsResult(psds, float(np.mean(list(single.values()))), single, len(self._clips), variant, roc)

    def _failure(self, reason: str) -> DataError:
        where = "where no threshold changes the counts of a class, as when all its scores are -inf"
        return DataError(f"back_end={self.package} fails {where} ({reason}); back_end=exact scores it")

    @abstractmethod
    def _compute(self, names: Sequence[str], scores: Scores, events: Events) -> tuple[float, Sequence[Curve]]:
        """PSDS, and the curve of each class; `names` are the numbers of those that occur, as text."""


class SedScoresEvalPsds(_LibraryPsds):
    """All thresholds, by sed_scores_eval (Ebbers et al., ICASSP 2022)."""

    package = "sed_scores_eval"

    def _compute(self, names: Sequence[str], scores: Scores, events: Events) -> tuple[float, Sequence[Curve]]:
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

        parameters, lengths = self.parameters, {clip_id: clip.duration_s for clip_id, clip in self._clips.items()}
        has_others = len(names) > 1
        psds, _, _, curves = intersection_based.psds(
            scores={
                clip_id: create_score_dataframe(array, self._clips[clip_id].borders, list(names))
                for clip_id, array in scores.items()
            },
            ground_truth=events,
            audio_durations=lengths,
            dtc_threshold=parameters.dtc,
            gtc_threshold=parameters.gtc,
            cttc_threshold=parameters.cttc if has_others else None,
            alpha_ct=parameters.alpha_ct if has_others else 0.0,
            alpha_st=parameters.alpha_st,
            max_efpr=parameters.max_efpr,
            unit_of_time="hour",
            num_jobs=1,
        )
        return float(psds), [Curve(*(np.append(0.0, curves[name][index]) for index in (1, 0))) for name in names]


class PsdsEvalPsds(_LibraryPsds):
    """At 50 thresholds, by psds_eval (Bilen et al., ICASSP 2020).

    Lower than over all thresholds, and slow with many classes.
    """

    package = "psds_eval"

    def __init__(self, classes: Sequence[str], frame_hop_s: float, parameters: PsdsParameters) -> None:
        if parameters.alpha_ct > 1:
            raise ConfigError(f"alpha_ct={parameters.alpha_ct} is not allowed with back_end={self.package}: at most 1")
        super().__init__(classes, frame_hop_s, parameters)

    def check_range(self, clip_id: str, scores: np.ndarray) -> None:
        """Raise a DataError unless scores are probabilities, as the thresholds are, or minus infinity."""
        is_outside = (scores > 1) | ((scores < 0) & (scores > -np.inf))
        if is_outside.any():
            value = f"got {scores[is_outside][0]:g}; give probabilities, or another back_end"
            raise DataError(f"clip {clip_id!r}: back_end={self.package} takes scores in [0, 1], {value}")

    def _compute(self, names: Sequence[str], scores: Scores, events: Events) -> tuple[float, Sequence[Curve]]:
        import pandas as pd
        from psds_eval import PSDSEval

        parameters = self.parameters
        columns = ["filename", "onset", "offset", "event_label"]
        truth = pd.DataFrame([(clip, *event) for clip, own in events.items() for event in own], columns=columns)
        lengths = pd.DataFrame(
            [(clip_id, clip.duration_s) for clip_id, clip in self._clips.items()], columns=["filename", "duration"]
        )
        cttc = parameters.cttc or 1.0  # alpha_ct=0 leaves it out
        evaluation = PSDSEval(parameters.dtc, parameters.gtc, cttc, ground_truth=truth, metadata=lengths)
        for threshold in np.linspace(1 / (2 * NUM_THRESHOLDS), 1 - 1 / (2 * NUM_THRESHOLDS), NUM_THRESHOLDS):
            detections = self._detections(names, scores, float(threshold))
            evaluation.add_operating_point(pd.DataFrame(detections, columns=columns))
        over_false_alarms, _, over_effective = evaluation.psd_roc_curves(parameters.alpha_ct)
        has_others = len(names) > 1
        pooled = over_effective if has_others else over_false_alarms  # the former has a mean over no other class
        is_within = pooled.xp <= parameters.max_efpr
        curves = [Curve(pooled.xp[is_within], np.nan_to_num(rates[is_within])) for rates in pooled.yp]
        if not has_others:
            return area(curves[0], parameters.max_efpr), curves
        return float(evaluation.psds(parameters.alpha_ct, parameters.alpha_st, parameters.max_efpr).value), curves

    def _detections(self, names: Sequence[str], scores: Scores, threshold: float) -> list[Detection]:
        found = []
        for clip, array in scores.items():
            changes = np.diff(np.pad(array >= threshold, ((1, 1), (0, 0))).astype(np.int8), axis=0)
            borders = self._clips[clip].borders
            for name, column in zip(names, changes.T, strict=True):
                onsets, offsets = borders[np.flatnonzero(column > 0)], borders[np.flatnonzero(column < 0)]
                found += [(clip, float(first), float(last), name) for first, last in zip(onsets, offsets, strict=True)]
        return found


LIBRARIES: Mapping[str, type[_LibraryPsds]] = {
    library.package: library for library in (SedScoresEvalPsds, PsdsEvalPsds)
}
