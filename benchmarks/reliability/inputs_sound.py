"""Audio files of all formats, damaged in their bytes or headers."""

from __future__ import annotations

import io
import random
import struct
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from efficient_sed.audio.grid import SAMPLE_RATE, FrameGrid
from efficient_sed.audio.io import audio_info, read_audio
from efficient_sed.inference.detect_one import Task, detect_one
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.recordings import Recording
from reliability.inputs import Kind, check_events, check_samples, demand
from reliability.mutations import EXTREMES, damage


class Form(NamedTuple):
    """How an original is written."""

    suffix: str
    container: str
    subtype: str
    rate: int
    channels: int


FORMS = {
    "wav": (Form("wav", "WAV", "PCM_16", 16_000, 1), Form("wav", "WAV", "PCM_24", 44_100, 2),
    Form("wav", "WAV", "FLOAT", 8_000, 1), Form("wav", "WAVEX", "DOUBLE", 48_000, 2)),
    "flac": (Form("flac", "FLAC", "PCM_16", 16_000, 1), Form("flac", "FLAC", "PCM_24", 48_000, 2)),
    "ogg": (Form("ogg", "OGG", "VORBIS", 16_000, 1), Form("ogg", "OGG", "VORBIS", 44_100, 2),
    Form("ogg", "OGG", "OPUS", 48_000, 1)),
    "mp3": (Form("mp3", "MP3", "MPEG_LAYER_III", 32_000, 2), Form("mp3", "MP3", "MPEG_LAYER_III", 16_000, 1)),
    "other": tuple(Form("wav", container, "PCM_16", 22_050, 1) for container in ("AIFF", "W64", "RF64", "CAF", "AU")),
}  # fmt: skip


class Loudness:
    """A detector that is no network: the level of each frame is its score."""

    classes = ["loud", "quiet"]  # noqa: RUF012 (the protocol's)
    grid = FrameGrid()
    clip_seconds = 1.0
    median_frames = 3

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        """Shape (1, frames, 2)."""
        num_frames = self.grid.num_frames(waveform.shape[1])
        level = np.abs(np.resize(waveform[0], (num_frames, self.grid.hop_length * self.grid.stride))).max(1).clip(0, 1)
        return np.stack([level, 1 - level], -1)[None].astype(np.float32)


def _prepare(name: str, folder: Path) -> None:
    for index, form in enumerate(FORMS[name]):
        rng = np.random.default_rng(index)
        time = np.arange(int(1.3 * form.rate)) / form.rate
        sound = 0.4 * np.sin(2 * np.pi * 440 * time) * (np.sin(5 * time) > 0) + rng.normal(scale=0.02, size=len(time))
        soundfile.write(
            folder / f"{index}", np.stack([sound] * form.channels, -1), form.rate, form.subtype, format=form.container
        )


def _attempt(name: str, rng: random.Random, folder: Path) -> bool:
    index = rng.randrange(len(FORMS[name]))
    original, form = (folder / f"{index}").read_bytes(), FORMS[name][index]
    data = _wild_wav(rng) if name == "wav" and rng.random() < 0.3 else damage(original, rng)
    path = folder / f"damaged.{form.suffix}"
    path.write_bytes(data)
    info = audio_info(path)
    demand(0 < info.duration_s < float("inf") and info.sample_rate > 0 and info.channels > 0, f"{info}")
    whole = read_audio(path)
    check_samples(whole, info.duration_s * SAMPLE_RATE)
    start_s = rng.uniform(0, info.duration_s * 0.9)
    check_samples(read_audio(path, start_s, 0.5), min(0.5, info.duration_s - start_s) * SAMPLE_RATE)
    if (
        name == "flac" and len(data) == len(original) and data[:42] == original[:42]
    ):  # behind the header all frames have checksums
        demand(np.array_equal(whole, read_audio(io_copy(original, folder))), "other samples than were encoded")
    found = detect_one(Recording(path, "damaged", Path("damaged"), info.duration_s), Loudness(), Task(DetectOptions()))
    demand(found.error is None, f"read before and not now: {found.error}")
    check_events(found.events, info.duration_s, Loudness.classes)
    return True


def io_copy(data: bytes, folder: Path) -> Path:
    """The original in a file with an ending."""
    path = folder / "original.flac"
    path.write_bytes(data)
    return path


def _wild_wav(rng: random.Random) -> bytes:
    """A header of its own making before some samples."""

    def number(usual: int, bits: int) -> int:
        chosen: int = (
            rng.choice((*EXTREMES, 22_255, 44_101, 96_000, 16_000_000)) if rng.random() < 0.3 else usual
        ) % 2**bits
        return chosen

    samples = np.frombuffer(rng.randbytes(4000), np.int16).tobytes()
    channels, rate, bits = number(1, 16), number(16_000, 32), number(16, 16)
    head = struct.pack(
        "<HHIIHH",
        number(rng.choice((1, 1, 3, 2, 6, 7, 17, 0xFFFE)), 16),
        channels,
        rate,
        number(32_000, 32),
        number(2, 16),
        bits,
    )
    chunks = io.BytesIO()
    for name, content in ((b"fmt ", head), *([(b"fact", b"\0" * 4)] if rng.random() < 0.2 else []), (b"data", samples)):
        chunks.write(name + struct.pack("<I", number(len(content), 32)) + content)
    return b"RIFF" + struct.pack("<I", number(4 + chunks.tell(), 32)) + b"WAVE" + chunks.getvalue()


SOUND = [Kind(name, f"{name} files" if name != "other" else "aiff, w64, rf64, caf, au files", share,
partial(_prepare, name), partial(_attempt, name))
         for name, share in (("wav", 8), ("flac", 5), ("ogg", 5), ("mp3", 5), ("other", 3))]  # fmt: skip
