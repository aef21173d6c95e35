"""One HTML file about one recording: its sound, spectrogram, scores and events, whose threshold can be moved.

Scores from 0.05 on are stored as they are, so the page finds the same events as `decode_stream` at the same threshold.
PyTorch is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed import __version__
from efficient_sed.audio.encoded import parse_channel
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import AudioReader, audio_info
from efficient_sed.data.annotations.event_tables import DETECTION_COLUMNS
from efficient_sed.data.events import Event
from efficient_sed.data.labels import warning_about
from efficient_sed.data.score_checks import check_scores
from efficient_sed.errors import ConfigError, ShapeError
from efficient_sed.files.pages import write_html
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.page_sound import PAGE, VIEW, check_page, deflated, frequency_marks, sound_data

SCRIPTS = ("report.js",)
MAX_SECONDS = 3600.0
LOWEST = 0.05  # scores below are not stored, nor classes that never reach it
BLOCK_S = 30.0


def write_report(
    output: str | Path,
    recording: str | Path,
    scores: np.ndarray,
    classes: Sequence[str],
    hop_s: float,
    threshold: float | Mapping[str, float] = 0.5,
    *,
    truth: Sequence[Event] | None = None,
    name: str | None = None,
    duration_s: float | None = None,
    model: str = "",
    channel: str | int = "mix",
) -> None:
    """Write the page about a recording. A file of `--format npz` holds scores, classes and hop_s, too.

    Args:
        output: File that ends in .html.
        recording: The audio file.
        scores: Smoothed probabilities (frames, classes), float32, of the whole recording.
        classes: Labels in the order of the scores.
        hop_s: Seconds of a frame.
        threshold: That the page begins with: one for all classes, or one for each by its label.
        truth: Events to draw beside the detected ones; default None, they are not known.
        name: What the page calls the recording; default None, its path.
        duration_s: Seconds of the recording that were scored; default None, all.
        model: Said in the page's head.
        channel: Of the recording: mix (the mean of all), first, or a number from 1.

    Raises:
        ConfigError: As `check_report`, or if the threshold is not allowed.
        DataError: If the sound cannot be decoded or the page cannot be written.
        ShapeError: If scores and classes do not go together.
    """
    thresholds = _thresholds(threshold, classes)
    check_scores(str(recording) if name is None else name, scores, classes)
    if len(scores) == 0:
        raise ShapeError(f"{recording}: scores have shape {scores.shape}; needed: at least one frame")
    duration_s = audio_info(recording).duration_s if duration_s is None else duration_s
    check_report(Path(output), duration_s)
    lowest = min(LOWEST, *thresholds)
    true_labels = {event.label for event in truth or ()}
    is_stored = (scores.max(axis=0) >= np.float32(lowest)) | [label in true_labels for label in classes]
    stored = sorted(np.flatnonzero(is_stored), key=lambda column: classes[column])
    values = np.ascontiguousarray(scores[:, stored].T, dtype="<f4")
    values[values < np.float32(lowest)] = 0
    data: dict[str, Any] = {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
        "name": str(recording) if name is None else name,
        "model": model,
        "warning": warning_about(classes),
        "duration": duration_s,
        "hop": float(hop_s),
        "threshold": thresholds[0] if len(set(thresholds)) == 1 else None,
        "thresholds": [thresholds[column] for column in stored],
        "lowest": lowest,
        "numClasses": len(classes),
        "classes": [str(classes[column]) for column in stored],
        "scores": deflated(values),
        "truth": truth and [dict(zip(("onset", "offset", "label"), event, strict=False)) for event in truth],
        "unknown": sorted(true_labels.difference(classes)),
        "tsvColumns": DETECTION_COLUMNS,
        "frequencies": frequency_marks(),
        **sound_data(_read_blocks(recording, duration_s, channel), round(duration_s * SAMPLE_RATE)),
    }
    write_html(PAGE, SCRIPTS, data, Path(output), VIEW)


def _thresholds(threshold: float | Mapping[str, float], classes: Sequence[str]) -> list[float]:
    """A threshold for each class."""
    if not isinstance(threshold, Mapping):
        threshold = dict.fromkeys(classes, threshold)
    if lacking := [label for label in classes if label not in threshold]:
        raise ConfigError(f"threshold: there is none for class {lacking[0]!r}; give one for each of the classes")
    for label in classes:
        DetectOptions(threshold[label])
    return [float(threshold[label]) for label in classes]


def check_report(output: Path, duration_s: float) -> None:
    """Check that there can be a page.

    Raises:
        ConfigError: If the ending is not .html, there is more than an hour of sound, or no encoder for MP3.
    """
    check_page(output)
    if duration_s > MAX_SECONDS:
        raise ConfigError(
            f"a report holds {MAX_SECONDS / 60:g} minutes of sound, and the recording has {duration_s / 60:.1f}; "
            "cut it, or take --format npz for its scores"
        )


def _read_blocks(path: str | Path, duration_s: float, channel: str | int) -> Iterator[np.ndarray]:
    start_s = 0.0
    with AudioReader(path, channel=parse_channel(channel)) as reader:
        while start_s < duration_s:
            yield reader.read(start_s, min(BLOCK_S, duration_s - start_s))
            start_s += BLOCK_S
