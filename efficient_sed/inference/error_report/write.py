"""Writes the page about a model's errors: everything that it shows, and the sound around each listed error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed import __version__
from efficient_sed.audio.grid import SAMPLE_RATE, FrameGrid
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.labels import warning_about
from efficient_sed.data.score_checks import check_scores
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.files.pages import write_html
from efficient_sed.inference.error_report.choose import Span, choose_errors, spans
from efficient_sed.inference.error_report.find import (
    FALSE_ALARM,
    MISS,
    USUAL_COLLAR,
    Analysis,
    Collar,
    Error,
    Kind,
    analyse,
)
from efficient_sed.inference.page_sound import TRACKS, check_page, frequency_marks, sound_data
from efficient_sed.metrics.psds.result import PsdsResult
from efficient_sed.metrics.psds.roc import HOUR_S, Curve
from efficient_sed.metrics.thresholds import BestThresholds

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("charts.js", "confusion.js", "list.js", "errors.js")
MAX_ERRORS, MOST_ERRORS = 300, 2000
MAX_COLUMNS = 400  # of an excerpt's spectrogram
MAX_POINTS = 200  # of a curve: more than a small chart shows
SCORE_STEPS = 1000  # that curves of excerpts are rounded to


def write_error_report(
    output: str | Path,
    clips: Sequence[Clip],
    truth: Mapping[str, Sequence[Event]],
    scores: Mapping[str, np.ndarray],
    thresholds: Sequence[float],
    classes: Sequence[str],
    grid: FrameGrid,
    *,
    psds: PsdsResult | None = None,
    collar: Collar = USUAL_COLLAR,
    title: str = "",
    postprocessing: str = "",
    max_errors: int = MAX_ERRORS,
) -> None:
    """Write the page.

    Args:
        output: File that ends in .html.
        clips: What was scored, in the order in which the page lists clips.
        truth: True events by the clip's id, of these classes.
        scores: Post-processed scores by the clip's id, shape (frames, classes).
        thresholds: What each class's scores must reach in an event.
        classes: Labels in the order of the scores.
        grid: From frames to seconds.
        psds: Whose curves and values are shown, too; default None, none.
        collar: Which detected events count as found.
        title: Said in the page's head: model and data.
        postprocessing: Said there, too: what was applied to the scores; default, nothing is said.
        max_errors: That are listed and can be played; the page says how many are left out.

    Raises:
        ConfigError: As `check_error_report`.
        DataError: If clips, truth and scores do not go together, a score is no number, the audio of a listed error
            cannot be decoded, or the page cannot be written.
    """
    check_error_report(Path(output), max_errors)
    for name, given in (("true events", truth), ("scores", scores)):
        if lacking := [clip.id for clip in clips if clip.id not in given]:
            raise DataError(f"clip {lacking[0]!r} has no {name}, nor have {len(lacking) - 1} others")
    for clip in clips:
        check_scores(f"clip {clip.id!r}", scores[clip.id], classes)
    durations_s = {clip.id: clip.duration_s for clip in clips}
    analysis = analyse(durations_s, truth, scores, thresholds, classes, grid, collar)
    best = analysis.curves.best()
    listed = choose_errors(analysis.errors, max_errors)
    data = {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
        "title": title,
        "postprocessing": postprocessing,
        "warning": warning_about(classes),
        "numClips": len(clips),
        "hours": sum(durations_s.values()) / HOUR_S,
        "collar": collar.collar_s,
        "offsetShare": collar.offset_share,
        "hop": grid.hop_s,
        "numErrors": {kind: sum(error.kind == kind for error in analysis.errors) for kind in (MISS, FALSE_ALARM)},
        "psds": None if psds is None else _psds(psds),
        "classes": [_class(analysis, column, thresholds[column], best, psds) for column in range(len(classes))],
        "confusion": {kind: _confusion(analysis, kind) for kind in (MISS, FALSE_ALARM)},
        "frequencies": frequency_marks(),
        "errors": list(_listed(listed, analysis, clips, scores, grid.hop_s)),
    }
    write_html(PAGE, SCRIPTS, data, Path(output), TRACKS)


def check_error_report(output: Path, max_errors: int = MAX_ERRORS) -> None:
    """Check that there can be a page.

    Raises:
        ConfigError: If the ending is not .html, the number of errors is not allowed, or there is no encoder for MP3.
    """
    check_page(output)
    if not 1 <= max_errors <= MOST_ERRORS:
        raise ConfigError(f"max_errors={max_errors} is not allowed: 1 to {MOST_ERRORS}, each with its sound")


def _confusion(analysis: Analysis, kind: Kind) -> list[list[int]]:
    return [[*pair, number] for pair, number in sorted(analysis.confusion(kind).items())]


def _psds(psds: PsdsResult) -> dict[str, Any]:
    return {
        "name": str(psds.variant["metric"]).upper(),
        "macro": psds.macro,
        "maxEfpr": float(psds.variant["max_efpr"]),
        "mean": _thinned(Curve(psds.roc.efpr, psds.roc.macro_tpr), float(psds.variant["max_efpr"])),
    }


def _class(
    analysis: Analysis, column: int, threshold: float, best: BestThresholds, psds: PsdsResult | None
) -> dict[str, Any]:
    """Counts of a class, its precision and recall at falling thresholds, its best F1 and threshold, and its PSD-ROC."""
    label = analysis.classes[column]
    num_true, num_detected, num_found = analysis.counts[column].tolist()
    value, roc = None, None
    if psds is not None and label in psds.per_class:
        value, roc = psds.per_class[label], _thinned(psds.roc.per_class[label], float(psds.variant["max_efpr"]))
    return {
        "label": label,
        "threshold": threshold,
        "events": num_true,
        "detected": num_detected,
        "found": num_found,
        "precisionRecall": _precision_recall(analysis, column) if num_true else [],
        "best": [best.f1[column], best.thresholds[column]] if num_true else None,
        "psds": value,
        "roc": roc,
    }


def _precision_recall(analysis: Analysis, column: int) -> list[list[float]]:
    """Recall and precision at falling thresholds; the more are detected, the fewer of them are kept."""
    curve = analysis.curves.curve(column)
    if not len(curve.scores):
        return []
    kept = np.unique(np.geomspace(1, len(curve.scores), MAX_POINTS).astype(int)) - 1
    kept = kept[curve.detected[kept] > 0]
    points = np.stack([curve.hits[kept] / curve.num_true, curve.hits[kept] / curve.detected[kept]], axis=1)
    return np.round(points, 4).tolist()  # type: ignore[no-any-return]


def _thinned(curve: Curve, max_efpr: float) -> list[list[float]]:
    """Points of a staircase, its rates of false positives and of true ones."""
    efpr, tpr = curve
    if len(efpr) > MAX_POINTS:
        efpr = np.linspace(0, max_efpr, MAX_POINTS)
        tpr = curve.tpr[np.searchsorted(curve.efpr, efpr, side="right") - 1]
    return [np.round(efpr, 3).tolist(), np.round(tpr, 4).tolist()]


def _listed(
    errors: Sequence[Error], analysis: Analysis, clips: Sequence[Clip], scores: Mapping[str, np.ndarray], hop_s: float
) -> Iterator[dict[str, Any]]:
    by_id = {clip.id: clip for clip in clips}
    columns = {label: column for column, label in enumerate(analysis.classes)}
    excerpts = spans(errors, [by_id[error.clip].duration_s for error in errors], hop_s)
    for error, span in zip(errors, excerpts, strict=True):
        events = analysis.events[error.clip]
        yield {
            "kind": error.kind,
            "clip": error.clip,
            "column": error.column,
            "other": error.other,
            "onset": error.onset_s,
            "offset": error.offset_s,
            "score": round(error.score, 4),
            "start": round(span.start_s, 6),
            "length": span.length_s,
            "truth": [_event(event, columns) for event in events.truth if _is_inside(event, span)],
            "detected": [_event(event, columns) for event in events.detected if _is_inside(event, span)],
            "curves": _curves(error, span, scores[error.clip], hop_s),
            **_sound(by_id[error.clip], span),
        }


def _is_inside(event: Event, span: Span) -> bool:
    return event.onset_s < span.start_s + span.length_s and event.offset_s > span.start_s


def _event(event: Event, columns: Mapping[str, int]) -> list[float]:
    return [round(event.onset_s, 3), round(event.offset_s, 3), columns[event.label], round(event.score, 3)]


def _curves(error: Error, span: Span, scores: np.ndarray, hop_s: float) -> list[dict[str, Any]]:
    """Scores in the excerpt, in thousandths: of the error's class, and of the one that was on instead."""
    first = round(span.start_s / hop_s)
    frames = scores[first : first + int(np.ceil(round(span.length_s / hop_s, 6)))]
    return [
        {"column": column, "scores": np.round(np.clip(frames[:, column], 0, 1) * SCORE_STEPS).astype(int).tolist()}
        for column in dict.fromkeys((error.column, error.other))
        if column >= 0
    ]


def _sound(clip: Clip, span: Span) -> dict[str, Any]:
    num_samples = max(1, round(span.length_s * SAMPLE_RATE))
    samples = clip.audio.read(span.start_s, span.length_s).numpy()
    return sound_data([np.pad(samples, (0, max(0, num_samples - len(samples))))], num_samples, MAX_COLUMNS)
