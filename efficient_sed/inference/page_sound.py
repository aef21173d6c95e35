"""Sound and spectrograms inside web pages, and what a browser inflates.

Sound is stored as MP3, which every browser plays, at a constant bit rate, without which browsers jump to a wrong time.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from efficient_sed.audio.display import LEVELS, MARKED_HZ, MAX_COLUMNS, draw_mel, mel_position
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.errors import ConfigError

PAGE = Path(__file__).parent / "page"
TRACKS = tuple(PAGE / name for name in ("tracks.css", "decode.js", "tracks.js", "player.js"))
"""Parts of every page with sound."""
VIEW = (*TRACKS, PAGE / "view.html", PAGE / "view.js")
"""Parts of every page about one recording."""
MP3_COMPRESSION = 0.8  # 40 kbit/s: less leaves no room for the header that says how much silence the encoder put before


def check_page(output: Path) -> None:
    """Raise a ConfigError if the ending is not .html, or there is no encoder for MP3."""
    if output.suffix.lower() != ".html":
        raise ConfigError(f"report={output} is not allowed: a file that ends in .html")
    if "MP3" not in soundfile.available_formats():
        raise ConfigError(
            f"a report stores sound as MP3, which libsndfile {soundfile.__libsndfile_version__} cannot write; "
            "take 1.1 or newer: pip install -U soundfile"
        )


def sound_data(blocks: Iterable[np.ndarray], num_samples: int, max_columns: int = MAX_COLUMNS) -> dict[str, Any]:
    """Sound and its spectrogram as a page holds them.

    Args:
        blocks: Consecutive samples at 16 kHz, each block of shape (samples,).
        num_samples: In all blocks together, approximately.
        max_columns: Of the spectrogram.
    """
    sound = io.BytesIO()
    picture = draw_mel(_write_mp3(sound, blocks), num_samples, max_columns)
    return {
        "sound": base64.b64encode(sound.getvalue()).decode(),
        "spectrogram": {
            "shape": picture.levels.shape,
            "numLevels": LEVELS,
            "columnSeconds": picture.column_s,
            "levels": deflated(picture.levels),
        },
    }


def frequency_marks() -> list[list[float]]:
    """Frequencies in Hz beside a spectrogram, and where, from 0 at its lower edge to 1."""
    return [[hertz, mel_position(hertz)] for hertz in MARKED_HZ]


def deflated(values: np.ndarray) -> str:
    """Numbers row by row, compressed by zlib, in base64; browsers can inflate that."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()


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
