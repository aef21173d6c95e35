"""PSDS by other packages: to compare with, and for cross-triggers. Both keep all scores until the end."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.errors import DataError
from efficient_sed.evaluation._psds_checks import check_classes, check_clip, nan_error
from efficient_sed.evaluation.psds import NO_EVENTS, PsdsParameters, PsdsResult, describe_variant
from efficient_sed.evaluation.psds_roc import Curve, PsdRoc, area, pool_classes

NUM_THRESHOLDS = 50  # of psds_eval, linear in [0, 1], as its authors take them
_ADVICE = (  # of these packages: what they use is deprecated, equal operating points are left out, rates of classes without detections are not numbers
    (Warning, "pkg_resources is deprecated"),
    (DeprecationWarning, "Conversion of an array with ndim > 0"),
    (FutureWarning, ""),
    (UserWarning, "A similar operating point exists"),
    (RuntimeWarning, ""),
)


class _LibraryPsds(ABC):
    package: str

    def __init__(self, classes: Sequence[str], frame_hop_s: float, parameters: PsdsParameters) -> None:
        check_classes(classes)
        self.classes, self.frame_hop_s, self.parameters = tuple(classes), frame_hop_s, parameters
        self._scores: dict[str, np.ndarray] = {}
        self._borders: dict[str, np.ndarray] = {}
        self._events: dict[str, tuple[Event, ...]] = {}
        self._durations: dict[str, float] = {}

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Keep one clip; as `PsdsAccumulator.update`."""
        array, merged, borders = check_clip(clip_id, scores, events, duration_s, self.classes, self.frame_hop_s)
        if np.isnan(array).any():
            raise nan_error(clip_id, array, self.classes)
        if clip_id in self._scores:
            raise DataError(f"clip {clip_id!r} came before")
        self._scores[clip_id], self._borders[clip_id], self._events[clip_id], self._durations[clip_id] = array, borders, merged, float(duration_s)

    def merge(self, other: _LibraryPsds) -> None:
        """Take over the clips of another one."""
        self._scores |= other._scores
        self._borders |= other._borders
        self._events |= other._events
        self._durations |= other._durations

    def compute(self) -> PsdsResult:
        """The score of the clips so far."""
        found = {event.label for events in self._events.values() for event in events}
        present = [label for label in self.classes if label in found]
        if not present:
            raise DataError(NO_EVENTS)
        with warnings.catch_warnings():
            for category, message in _ADVICE:
                warnings.filterwarnings("ignore", category=category, message=message)
            psds, single, roc = self._compute(present)
        variant = describe_variant(self.parameters, len(present), self.package, version(self.package))
        return PsdsResult(psds, float(np.mean(list(single.values()))), single, len(self._scores), variant, roc)

    def metrics(self) -> dict[str, Any]:
        """The score in the form that results carry."""
        return self.compute().metrics()

    @abstractmethod
    def _compute(self, present: Sequence[str]) -> tuple[float, dict[str, float], PsdRoc]:
        """PSDS, single-class values and curves for the classes that occur."""


class SedScoresEvalPsds(_LibraryPsds):
    """All thresholds, by sed_scores_eval (Ebbers et al., ICASSP 2022)."""

    package = "sed_scores_eval"

    def _compute(self, present: Sequence[str]) -> tuple[float, dict[str, float], PsdRoc]:
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

        columns = [self.classes.index(label) for label in present]
        parameters = self.parameters
        try:
            psds, single, _, curves = intersection_based.psds(
                scores={clip: create_score_dataframe(array[:, columns], self._borders[clip], list(present)) for clip, array in self._scores.items()},
                ground_truth={clip: [tuple(event[:3]) for event in events] for clip, events in self._events.items()}, audio_durations=self._durations,
                dtc_threshold=parameters.dtc, gtc_threshold=parameters.gtc, cttc_threshold=parameters.cttc, alpha_ct=parameters.alpha_ct,
                alpha_st=parameters.alpha_st, max_efpr=parameters.max_efpr, unit_of_time="hour", num_jobs=1,
            )  # fmt: skip
        except IndexError as error:  # no operating point is left of a class
            reason = f"back_end={self.package} fails where no threshold changes the counts of a class, as when all its scores are -inf"
            raise DataError(f"{reason}; back_end=exact scores it") from error
        per_class = {label: Curve(np.append(0.0, curves[label][1]), np.append(0.0, curves[label][0])) for label in present}
        return float(psds), {label: float(single[label]) for label in present}, pool_classes(per_class, parameters.alpha_st)


class PsdsEvalPsds(_LibraryPsds):
    """At 50 thresholds, by psds_eval (Bilen et al., ICASSP 2020): lower than over all thresholds, and slow with many classes."""

    package = "psds_eval"

    def _compute(self, present: Sequence[str]) -> tuple[float, dict[str, float], PsdRoc]:
        import pandas as pd
        from psds_eval import PSDSEval

        parameters = self.parameters
        columns = ["filename", "onset", "offset", "event_label"]
        truth = pd.DataFrame([(clip, *event[:3]) for clip, events in self._events.items() for event in events], columns=columns)
        lengths = pd.DataFrame({"filename": list(self._durations), "duration": list(self._durations.values())})
        evaluation = PSDSEval(parameters.dtc, parameters.gtc, parameters.cttc or 1.0, ground_truth=truth, metadata=lengths)  # alpha_ct=0 leaves the third out
        for threshold in np.linspace(1 / (2 * NUM_THRESHOLDS), 1 - 1 / (2 * NUM_THRESHOLDS), NUM_THRESHOLDS):
            evaluation.add_operating_point(pd.DataFrame(self._detections(present, float(threshold)), columns=columns))
        psds = evaluation.psds(parameters.alpha_ct, parameters.alpha_st, parameters.max_efpr).value
        pooled = evaluation.psd_roc_curves(parameters.alpha_ct)[2]
        is_within = pooled.xp <= parameters.max_efpr
        curves = {label: Curve(pooled.xp[is_within], np.nan_to_num(rates[is_within])) for label, rates in zip(sorted(present), pooled.yp, strict=True)}
        roc = pool_classes({label: curves[label] for label in present}, parameters.alpha_st)
        return float(psds), {label: area(curves[label], parameters.max_efpr) for label in present}, roc

    def _detections(self, present: Sequence[str], threshold: float) -> list[tuple[str, float, float, str]]:
        found = []
        for clip, array in self._scores.items():
            changes = np.diff(np.pad(array >= threshold, ((1, 1), (0, 0))).astype(np.int8), axis=0)
            for label in present:
                column = changes[:, self.classes.index(label)]
                onsets, offsets = self._borders[clip][np.flatnonzero(column > 0)], self._borders[clip][np.flatnonzero(column < 0)]
                found += [(clip, float(onset), float(offset), label) for onset, offset in zip(onsets, offsets, strict=True)]
        return found


LIBRARIES: Mapping[str, type[_LibraryPsds]] = {library.package: library for library in (SedScoresEvalPsds, PsdsEvalPsds)}
