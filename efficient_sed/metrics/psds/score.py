"""Polyphonic sound detection score, PSDS: exact over all thresholds, clip by clip.

Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020 (https://arxiv.org/abs/1910.08440), over all
thresholds as in Ebbers et al., "Threshold independent evaluation of sound event detection scores", ICASSP 2022
(https://arxiv.org/abs/2201.13148). Changed: counts are summed clip by clip, and of each class only thresholds that the cut at `max_efpr` can
reach are kept. Values equal those of sed_scores_eval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from os import PathLike
from typing import Any, Literal, Protocol, get_args

import numpy as np

from efficient_sed.config.evaluation import MAX_EFPR
from efficient_sed.data.score_checks import bad_score
from efficient_sed.errors import ConfigError, DataError, nearest, require_package
from efficient_sed.metrics.psds._checks import check_clip, check_columns, check_duration
from efficient_sed.metrics.psds._entries import PsdsEntries
from efficient_sed.metrics.psds.roc import Curve, PsdRoc, area, class_curve, pool_classes

BackEnd = Literal["exact", "sed_scores_eval", "psds_eval"]
ALGORITHM = 1  # of the exact back end; goes up when a value could change
NO_EVENTS = "PSDS needs at least one event in the ground truth, found none"


@dataclass(frozen=True)
class PsdsParameters:
    """What is measured."""

    dtc: float = 0.7
    gtc: float = 0.7
    alpha_st: float = 1.0
    max_efpr: float = 100.0
    cttc: float | None = None
    alpha_ct: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, Real) and (name, value) != ("cttc", None):
                raise ConfigError(f"{name}={value!r} is not allowed: a number")
        if self.cttc is not None and not 0 < self.cttc <= 1:
            raise ConfigError(f"cttc={self.cttc} is not allowed: above 0, at most 1")
        for name in ("dtc", "gtc"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed: above 0, at most 1")
        for name in ("alpha_st", "alpha_ct"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed: 0 or more")
        if not 0 < self.max_efpr <= MAX_EFPR:
            raise ConfigError(f"max_efpr={self.max_efpr} is not allowed: above 0, at most {MAX_EFPR:g}")
        if (self.cttc is None) != (self.alpha_ct == 0):
            raise ConfigError(
                f"cttc={self.cttc} and alpha_ct={self.alpha_ct} do not go together: give both, or neither for no cost of cross-triggers"
            )

    @property
    def name(self) -> str:
        """What results call it: "psds1" and "psds2" with the parameters of DCASE, else "psds"."""
        return {PSDS1: "psds1", PSDS2: "psds2"}.get(self, "psds")


PSDS1 = PsdsParameters()
PSDS2 = PsdsParameters(dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5)


@dataclass(frozen=True)
class PsdsResult:
    """A PSDS and how it was computed."""

    psds: float
    """With `alpha_st` standard deviations over classes taken off; in [0, 1]."""
    macro: float
    """Plain mean over classes of the single-class values: the number that papers quote."""
    per_class: Mapping[str, float]
    """Of classes that have events in the ground truth."""
    num_clips: int
    variant: Mapping[str, Any]
    """Parameters, back end and its version: two values compare only if these agree."""
    roc: PsdRoc
    """The curves whose areas these values are."""

    @property
    def num_classes(self) -> int:
        return len(self.per_class)

    def metrics(self) -> dict[str, Any]:
        """The form that results carry: keys begin with the parameters' name, such as "psds1" and "psds1_macro"."""
        name = self.variant["metric"]
        per_class, variant = dict(self.per_class), dict(self.variant)
        return {f"{name}_macro": self.macro, name: self.psds, "per_class": per_class, "variant": variant}


class PsdsBackEnd(Protocol):
    """Takes in clip after clip, in any order, and gives the score of all."""

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Take in one clip: scores (frames, classes), its events (onset_s, offset_s, label) and its length in seconds."""

    def merge(self, other: Any) -> None:
        """Take over the clips of another one."""

    def compute(self) -> PsdsResult:
        """The score of the clips so far."""

    def metrics(self) -> dict[str, Any]:
        """The score in the form that results carry."""


def psds1(
    scores: Mapping[str, Any] | str | PathLike[str],
    ground_truth: Mapping[str, Sequence[Sequence[Any]]] | Any,
    durations: Mapping[str, float] | Any,
    *,
    classes: Sequence[str],
    frame_hop_s: float,
    dtc: float = 0.7,
    gtc: float = 0.7,
    alpha_st: float = 1.0,
    max_efpr: float = 100.0,
    cttc: float | None = None,
    alpha_ct: float = 0.0,
    back_end: BackEnd = "exact",
) -> PsdsResult:
    """Polyphonic sound detection score over all thresholds: PSDS1 by default, PSDS2 or another by its parameters.

    Classes that never occur in the ground truth are left out; overlapping events of one class count as one.
    What of an event lies beyond its clip's end counts, and no detection reaches it.

    Args:
        scores: Per clip an array (frames, classes); frame k covers [k, k + 1) * frame_hop_s, cut at the clip's duration.
            NaN and plus infinity are refused; a frame of minus infinity is never detected. Instead of an array a score
            table of sed_scores_eval, a DataFrame with the columns onset, offset and one a class; instead of the mapping
            a folder of such tables, each a TSV file that is named as its clip.
        ground_truth: Per clip its events (onset_s, offset_s, label). Or a DataFrame or TSV file with the columns
            filename, onset, offset and event_label; names may have the ending of an audio file, and clips that it lacks
            have no events.
        durations: Per clip its length in seconds. Or a DataFrame or TSV file with the columns filename and duration.
        classes: Labels of the score columns.
        frame_hop_s: Seconds of a frame.
        max_efpr: False positives an hour at which the curve is cut.
        cttc: Cross-trigger tolerance criterion, with `alpha_ct` for PSDS2 (0.3 and 0.5, with dtc and gtc 0.1), whose
            results are called psds2; default None: cross-triggers cost nothing.
        back_end: "exact"; sed_scores_eval (equal, slower, knows cross-triggers) and psds_eval (50 thresholds) are packages of the extra [eval].

    Raises:
        DataError: If clips, shapes, labels or times make no sense; the message names clip and value.
        ConfigError: If a parameter is out of range, or the back end knows no cross-triggers.
        MissingDependencyError: If the back end is not installed.
    """
    from efficient_sed.metrics.psds.inputs import open_scores, read_durations, read_ground_truth, to_array

    tables = open_scores(scores)
    clip_ids = list(tables.keys())
    if not clip_ids:
        raise DataError("PSDS needs at least one clip, got none")
    check_columns(classes, frame_hop_s)
    truth, lengths = read_ground_truth(ground_truth, clip_ids), read_durations(durations, clip_ids)
    for name, other in (("ground_truth", truth), ("durations", lengths)):
        if different := set(clip_ids) ^ set(other.keys()):
            raise DataError(f"scores and {name} name different clips, such as {min(different, key=str)!r}")
    for clip_id in clip_ids:
        check_duration(f"clip {clip_id!r}", lengths[clip_id])
    parameters = PsdsParameters(dtc, gtc, alpha_st, max_efpr, cttc, alpha_ct)
    announced = [lengths[clip_id] for clip_id in clip_ids]
    accumulator = create_back_end(back_end, classes, announced, frame_hop_s, parameters)
    for clip_id in clip_ids:
        array = to_array(clip_id, tables[clip_id], classes, frame_hop_s, lengths[clip_id])
        accumulator.update(clip_id, array, truth[clip_id], lengths[clip_id])
    return accumulator.compute()


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
        ConfigError: If there is no such back end, or it knows no cross-triggers and these are to cost something.
        MissingDependencyError: If it is not installed.
    """
    require_back_end(name)
    if name == "exact":
        return PsdsAccumulator(
            classes, durations, frame_hop_s=frame_hop_s, parameters=parameters, keeps_clips=keeps_clips
        )
    from efficient_sed.metrics.psds._back_ends import LIBRARIES

    return LIBRARIES[name](classes, frame_hop_s, parameters)


def require_back_end(name: BackEnd) -> None:
    """Raise a MissingDependencyError now if the back end is not installed, a ConfigError if there is none of this name."""
    if name not in get_args(BackEnd):
        raise ConfigError(f"unknown back end {name!r}; {nearest(name, get_args(BackEnd))}")
    if name != "exact":
        require_package(f"back_end={name}", name, "eval")


class PsdsAccumulator:
    """Exact PSDS1 of clips that come one by one, in any order and in several processes; their scores are not kept.

    Args:
        classes: Labels of the score columns.
        durations: Lengths in seconds of the clips that may come; clips that stay away only cost memory.
        frame_hop_s: Length of a frame.
        parameters: What is measured; by default PSDS1.
        keeps_clips: Keep counts apart by clip, with a margin, for `PsdsClips`: confidence intervals and paired tests.

    Raises:
        ConfigError: If cross-triggers are to cost something.
    """

    def __init__(
        self,
        classes: Sequence[str],
        durations: Sequence[float],
        *,
        frame_hop_s: float,
        parameters: PsdsParameters = PSDS1,
        keeps_clips: bool = False,
    ) -> None:
        if parameters.alpha_ct:
            raise ConfigError(
                f"back_end=exact knows no cross-triggers (alpha_ct={parameters.alpha_ct}); give back_end=sed_scores_eval or back_end=psds_eval"
            )
        check_columns(classes, frame_hop_s)
        if len(durations) == 0:
            raise DataError("PSDS needs at least one clip, got none")
        for number, duration_s in enumerate(durations):
            check_duration(f"durations[{number}]", duration_s)
        self.classes, self.frame_hop_s, self.parameters, self.keeps_clips = (
            tuple(classes),
            frame_hop_s,
            parameters,
            keeps_clips,
        )
        self._longest_s = math.fsum(durations)
        self.durations: dict[str, float] = {}
        self._seen_s = 0.0
        self.events_by_clip: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # by clip: classes that occur, and how often
        self.entries = PsdsEntries(
            {label: column for column, label in enumerate(self.classes)}, durations, parameters, keeps_clips=keeps_clips
        )

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float) -> None:
        """Take in one clip: scores (frames, classes), its events (onset_s, offset_s, label) and its length in seconds.

        Raises:
            DataError: If scores or events make no sense, the clip came before, or clips are longer than was said; the message names the clip.
        """
        given, merged, borders = check_clip(clip_id, scores, events, duration_s, self.classes, self.frame_hop_s)
        if clip_id in self.durations:
            raise DataError(f"clip {clip_id!r} came before")
        seen_s = self._seen_s + duration_s
        if seen_s > self._longest_s * (1 + 1e-9):
            raise DataError(
                f"clip {clip_id!r}: {len(self.durations) + 1} clips last {seen_s:g} s, more than the {self._longest_s:g} s that were announced"
            )
        array = np.ascontiguousarray(given, dtype=np.float32 if given.dtype == np.float32 else np.float64)
        num_events = self.entries.add_clip(array, merged, borders)
        if num_events is None:
            raise bad_score(f"clip {clip_id!r}", array, self.classes)
        self.durations[clip_id], self.events_by_clip[clip_id], self._seen_s = float(duration_s), num_events, seen_s

    def merge(self, other: PsdsAccumulator) -> None:
        """Take over the clips of an accumulator of the same settings.

        Raises:
            DataError: If the settings differ or both have seen a clip.
        """
        if self._settings() != other._settings():
            raise DataError("accumulators of different classes or parameters cannot be merged")
        if twice := self.durations.keys() & other.durations.keys():
            raise DataError(f"clip {min(twice)!r} came before")
        self.durations |= other.durations
        self.events_by_clip |= other.events_by_clip
        self._seen_s += other._seen_s
        self.entries.merge(other.entries)

    def compute(self) -> PsdsResult:
        """The score of the clips so far.

        Raises:
            DataError: If they hold no event.
        """
        num_events = self.count_events()
        duration_s, max_efpr = math.fsum(self.durations.values()), self.parameters.max_efpr
        curves = {}
        for column, own in enumerate(self.entries.by_class()):
            if num_events[column]:
                curves[self.classes[column]] = class_curve(
                    own.scores, own.hits, own.alarms, int(num_events[column]), duration_s, max_efpr
                )
        if not curves:
            raise DataError(NO_EVENTS)
        roc = pool_classes(curves, self.parameters.alpha_st)
        single = {label: area(curve, max_efpr) for label, curve in curves.items()}
        variant = describe_variant(self.parameters, len(single), "exact", f"algorithm {ALGORITHM}")
        psds = area(Curve(roc.efpr, roc.etpr), max_efpr)
        return PsdsResult(psds, float(np.mean(list(single.values()))), single, len(self.durations), variant, roc)

    def metrics(self) -> dict[str, Any]:
        """The score in the form that results carry."""
        return self.compute().metrics()

    def count_events(self) -> np.ndarray:
        """Events of each class so far."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for columns, count in self.events_by_clip.values():
            counts[columns] += count
        return counts

    def _settings(self) -> tuple[Any, ...]:
        return self.classes, self.frame_hop_s, self.parameters, self.keeps_clips, self._longest_s


def describe_variant(
    parameters: PsdsParameters, num_classes: int, back_end: str, back_end_version: str
) -> dict[str, Any]:
    """What two values must share to be comparable."""
    numbers = {**asdict(parameters), "num_classes": num_classes}
    return {"metric": parameters.name, **numbers, "back_end": back_end, "back_end_version": back_end_version}
