"""One HTML file about one recording: its sound, spectrogram, scores and events, whose threshold can be moved.

Scores from 0.05 on are stored as they are, so the page finds the same events as `decode_stream` at the same threshold.
PyTorch is not needed. Sound is stored as MP3, which every browser plays, at a constant bit rate, without which browsers
jump to a wrong time.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from efficient_sed import __version__
from efficient_sed.audio.display import LEVELS, MARKED_HZ, draw_mel, mel_position
from efficient_sed.audio.encoded import parse_channel
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import AudioReader, audio_info
from efficient_sed.data.annotations.tsv import DETECTION_COLUMNS
from efficient_sed.data.labels import warning_about
from efficient_sed.data.score_checks import check_scores
from efficient_sed.errors import ConfigError, ShapeError
from efficient_sed.files.pages import write_html
from efficient_sed.inference.detect_options import DetectOptions

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("decode.js", "tracks.js", "report.js")
MAX_SECONDS = 3600.0
LOWEST = 0.05  # scores below are not stored, nor classes that never reach it
MP3_COMPRESSION = 0.8  # 40 kbit/s: less leaves no room for the header that says how much silence the encoder put before
BLOCK_S = 30.0


def write_report(
    output: str | Path,
    recording: str | Path,
    scores: np.ndarray,
    classes: Sequence[str],
    hop_s: float,
    threshold: float = 0.5,
    *,
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
        threshold: That the page begins with.
        name: What the page calls the recording; default None, its path.
        duration_s: Seconds of the recording that were scored; default None, all.
        model: Said in the page's head.
        channel: Of the recording: mix (the mean of all), first, or a number from 1.

    Raises:
        ConfigError: As `check_report`, or if the threshold is not allowed.
        DataError: If the sound cannot be decoded or the page cannot be written.
        ShapeError: If scores and classes do not go together.
    """
    DetectOptions(threshold)
    check_scores(str(recording) if name is None else name, scores, classes)
    if len(scores) == 0:
        raise ShapeError(f"{recording}: scores have shape {scores.shape}; needed: at least one frame")
    duration_s = audio_info(recording).duration_s if duration_s is None else duration_s
    check_report(Path(output), duration_s)
    lowest = min(LOWEST, threshold)
    stored = sorted(np.flatnonzero(scores.max(axis=0) >= np.float32(lowest)), key=lambda column: classes[column])
    values = np.ascontiguousarray(scores[:, stored].T, dtype="<f4")
    values[values < np.float32(lowest)] = 0
    sound = io.BytesIO()
    picture = draw_mel(_write_mp3(sound, _read_blocks(recording, duration_s, channel)), round(duration_s * SAMPLE_RATE))
    data: dict[str, Any] = {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
        "name": str(recording) if name is None else name,
        "model": model,
        "warning": warning_about(classes),
        "duration": duration_s,
        "hop": float(hop_s),
        "threshold": threshold,
        "lowest": lowest,
        "numClasses": len(classes),
        "classes": [str(classes[column]) for column in stored],
        "scores": _deflated(values),
        "tsvColumns": DETECTION_COLUMNS,
        "spectrogram": {
            "shape": picture.levels.shape,
            "numLevels": LEVELS,
            "columnSeconds": picture.column_s,
            "levels": _deflated(picture.levels),
        },
        "frequencies": [[hertz, mel_position(hertz)] for hertz in MARKED_HZ],
        "sound": base64.b64encode(sound.getvalue()).decode(),
    }
    write_html(PAGE, SCRIPTS, data, Path(output))


def check_report(output: Path, duration_s: float) -> None:
    """Check that there can be a page.

    Raises:
        ConfigError: If the ending is not .html, there is more than an hour of sound, or no encoder for MP3.
    """
    if output.suffix.lower() != ".html":
        raise ConfigError(f"report={output} is not allowed: a file that ends in .html")
    if duration_s > MAX_SECONDS:
        raise ConfigError(
            f"a report holds {MAX_SECONDS / 60:g} minutes of sound, and the recording has {duration_s / 60:.1f}; "
            "cut it, or take --format npz for its scores"
        )
    if "MP3" not in soundfile.available_formats():
        raise ConfigError(
            f"a report stores sound as MP3, which libsndfile {soundfile.__libsndfile_version__} cannot write; "
            "take 1.1 or newer: pip install -U soundfile"
        )


def _read_blocks(path: str | Path, duration_s: float, channel: str | int) -> Iterator[np.ndarray]:
    start_s = 0.0
    with AudioReader(path, channel=parse_channel(channel)) as reader:
        while start_s < duration_s:
            yield reader.read(start_s, min(BLOCK_S, duration_s - start_s))
            start_s += BLOCK_S


def _write_mp3(file: io.BytesIO, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Pass blocks of sound on, and encode them into a file."""
    with soundfile.SoundFile(
        file,
        "w",
        SAMPLE_RATE,
        1,
        "MPEG_LAYER_III",
        format="MP3",
        compression_level=MP3_COMPRESSION,
        bitrate_mode="CONSTANT",
    ) as encoder:
        for block in blocks:
            encoder.write(np.clip(block, -1, 1))
            yield block


def _deflated(values: np.ndarray) -> str:
    """Numbers row by row, compressed by zlib, in base64; browsers can inflate that."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()
