"""PSDS of scores in memory or in files, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from efficient_sed.data.scores.tables import open_scores, to_array
from efficient_sed.data.scores.truth import read_durations, read_ground_truth
from efficient_sed.errors import DataError
from efficient_sed.metrics.psds._checks import check_columns, check_duration
from efficient_sed.metrics.psds.back_ends import BackEnd, create_back_end
from efficient_sed.metrics.psds.parameters import PSDS1, PsdsParameters
from efficient_sed.metrics.psds.result import PsdsResult


def psds1(
    scores: Mapping[str, Any] | str | PathLike[str],
    ground_truth: Mapping[str, Sequence[Sequence[Any]]] | Any,
    durations: Mapping[str, float] | Any,
    *,
    classes: Sequence[str],
    frame_hop_s: float,
    dtc: float = PSDS1.dtc,
    gtc: float = PSDS1.gtc,
    alpha_st: float = PSDS1.alpha_st,
    max_efpr: float = PSDS1.max_efpr,
    cttc: float | None = None,
    alpha_ct: float = 0.0,
    back_end: BackEnd = "exact",
) -> PsdsResult:
    """Polyphonic sound detection score over all thresholds: PSDS1 by default, PSDS2 or another by its parameters.

    Classes that never occur in the ground truth are left out; overlapping events of one class count as one.
    What of an event lies beyond its clip's end counts, and no detection reaches it.

    Args:
        scores: Per clip an array (frames, classes); frame k covers [k, k + 1) * frame_hop_s, cut at the clip's
            duration. NaN and plus infinity are refused; a frame of minus infinity is never detected. Instead of an
            array a score table of sed_scores_eval, a DataFrame with the columns onset, offset and one a class; instead
            of the mapping a folder of such tables, each a TSV file that is named as its clip.
        ground_truth: Per clip its events (onset_s, offset_s, label). Or a DataFrame or TSV file with the columns
            filename, onset, offset and event_label; names may have the ending of an audio file, and clips that it lacks
            have no events.
        durations: Per clip its length in seconds. Or a DataFrame or TSV file with the columns filename and duration.
        classes: Labels of the score columns.
        frame_hop_s: Seconds of a frame.
        dtc: Detection tolerance criterion: share of a detection that ground truth must cover.
        gtc: Ground-truth intersection criterion: share of an event that detections must cover.
        alpha_st: Cost of instability across classes, in standard deviations.
        max_efpr: False positives an hour at which the curve is cut.
        cttc: Cross-trigger tolerance criterion, with `alpha_ct` for PSDS2 (0.3 and 0.5, with dtc and gtc 0.1), whose
            results are called psds2; default None: cross-triggers cost nothing.
        alpha_ct: Cost of cross-triggers.
        back_end: "exact"; sed_scores_eval (equal, slower) and psds_eval (50 thresholds) are packages of the extra
            [eval].

    Raises:
        DataError: If clips, shapes, labels or times make no sense; the message names clip and value.
        ConfigError: If a parameter is out of range.
        MissingDependencyError: If the back end is not installed.
    """
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
        array = to_array(clip_id, tables[clip_id], classes, frame_hop_s)
        accumulator.update(clip_id, array, truth[clip_id], lengths[clip_id])
    return accumulator.compute()
