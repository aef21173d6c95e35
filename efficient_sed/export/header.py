"""What an exported file says about itself, in its metadata. Without PyTorch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config._strict import from_dict

FORMAT = "efficient_sed_onnx/1"
FORMAT_KEY = "format"
FRAME_SCORES, CLIP_SCORES = "frame_scores", "clip_scores"
InputKind = Literal["waveform", "mel"]


@dataclass(frozen=True)
class Header:
    """The metadata; each field is a key. Text is stored as it is, everything else as JSON."""

    model_name: str
    classes: tuple[str, ...]
    """Labels in the order of the scores."""
    input: InputKind
    """What the file takes: "waveform" (batch, samples), or "mel" (batch, 1, mel_bins, frames), which the model's own front end makes."""
    sample_rate: int
    hop_length: int
    """Samples from one spectrogram frame to the next."""
    stride: int
    """Spectrogram frames per output frame."""
    first_frame_samples: int
    """Samples that give the first output frame; see `FrameGrid`."""
    min_samples: int
    """Shortest waveform that gives a frame."""
    mel_bins: int
    clip_seconds: float
    """Length of the clips that the model was trained on; longer audio is scored in windows of it."""
    median_frames: int
    """Window of the median filter its scores were evaluated with."""
    threshold: float
    """Score from which a frame is active."""
    task: str
    """Which scores were trained: those of frames by "detection", of clips by "tagging"."""
    opset: int
    efficient_sed_version: str
    max_samples: int | None = None
    """Longest waveform that it takes; none: any."""

    @property
    def grid(self) -> FrameGrid:
        return FrameGrid(self.sample_rate, self.hop_length, self.stride, self.first_frame_samples)

    def to_metadata(self) -> dict[str, str]:
        """Keys and values as ONNX keeps them."""
        values = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in dataclasses.asdict(self).items()}
        return {FORMAT_KEY: FORMAT, **values}


def header_from_metadata(metadata: Mapping[str, str]) -> Header:
    """The inverse of `to_metadata`; other keys are passed over.

    Raises:
        ConfigError: If a key is missing or its value is not allowed.
        ValueError: If a value is no JSON.
    """
    texts = {field.name for field in dataclasses.fields(Header) if field.type in ("str", "InputKind")}
    keys = {field.name for field in dataclasses.fields(Header)}
    return from_dict(Header, {key: value if key in texts else json.loads(value) for key, value in metadata.items() if key in keys}, "metadata")
