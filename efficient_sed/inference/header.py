"""The metadata of an exported file. PyTorch is not needed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.parse import from_dict
from efficient_sed.config.values import MAX_CLIP_SECONDS
from efficient_sed.data.labels import label_problem
from efficient_sed.errors import CheckpointError, ConfigError, is_printable, require
from efficient_sed.files.json import parse_json
from efficient_sed.inference.self_test import MAX_SECONDS, SelfTest

if TYPE_CHECKING:
    from efficient_sed.audio.frontends.spectrogram import Spectrogram

FORMAT = "efficient_sed/2"
FORMAT_KEY = "format"
MAX_RATE = 1_000_000
FRAME_SCORES, CLIP_SCORES = "frame_scores", "clip_scores"
EXACT = "fp32"  # precision of a file that was not quantised
InputKind = Literal["waveform", "mel"]


@dataclass(frozen=True)
class Header:
    """The metadata; each field is a key. Text is stored as it is, everything else as JSON."""

    model_name: str
    classes: tuple[str, ...]
    """Labels in the order of the scores."""
    input: InputKind
    """What the file takes: "waveform" (batch, samples), or "mel" (batch, 1, mel_bins, frames) of the front end."""
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
    """Longest waveform that it takes; None for any."""
    fixed_samples: int | None = None
    """Length of every input, in samples of sound; None for any. A file with "mel" takes their spectrogram."""
    batch_size: int | None = None
    """Inputs that it takes at once; None for any number."""
    frontend: Mapping[str, Any] = field(default_factory=dict)
    """The steps from a waveform to the spectrogram that the file takes, see `Spectrogram`; empty with "waveform"."""
    precision: str = EXACT
    """Of its weights and activations; one of those that its format names, see `ExportTarget.precisions`."""
    params: int | None = None
    macs: int | None = None
    """Multiply-accumulates of a clip of `clip_seconds`, from spectrogram to logits, as `count_macs` counts them."""
    macs_frontend: int | None = None
    """The same of the front end."""
    signature: str = ""
    """Of the run that trained it, if it has one."""
    trained_on: str = ""
    """Name of its data set."""
    extended_from: str = ""
    """Model whose classes it has in front of those of its data set, if there is one."""
    fold: int | None = None
    """Which was left out of its training, where the data have folds."""
    metric: str = ""
    """Key of its own score, if this very file was scored."""
    score: float | None = None
    scored_on: str = ""
    """Data set and part."""
    scored_by: str = ""
    """Engine: another one may round otherwise."""
    manifest_hash: str = ""
    """Of the data that it was scored on."""
    conditions: str = ""
    """The metric's exact variant and how many clips were scored, as JSON; scores compare only where these agree."""
    self_test: SelfTest | None = None
    """A sound and its scores, which an engine must give; None while a file is made."""
    postprocessing: Mapping[str, Any] = field(default_factory=dict)
    """Plain values of a tuned `Postprocessing`; empty for none."""

    def __post_init__(self) -> None:
        require(
            (problem := label_problem(self.classes)) is None and bool(self.classes),
            "metadata.classes",
            list(self.classes[:3]),
            problem or "one label or more",
        )
        require(
            1000 <= self.sample_rate <= MAX_RATE, "metadata.sample_rate", self.sample_rate, f"1000 to {MAX_RATE} Hz"
        )
        for name in ("hop_length", "stride", "first_frame_samples", "min_samples", "mel_bins"):
            most = MAX_CLIP_SECONDS * self.sample_rate  # networks for tagging need seconds for their first score
            require(1 <= getattr(self, name) <= most, f"metadata.{name}", getattr(self, name), f"1 to {most:g}")
        require(
            0 < self.clip_seconds <= MAX_CLIP_SECONDS,
            "metadata.clip_seconds",
            self.clip_seconds,
            f"above 0, at most {MAX_CLIP_SECONDS}",
        )
        fits = self.min_samples <= self.clip_samples <= (self.longest_samples or math.inf)
        allowed = f"{self.min_samples} to {self.longest_samples or 'any number of'} samples"
        require(fits, "metadata.clip_seconds", self.clip_seconds, allowed)
        if self.self_test is not None:
            samples, most = self.self_test.samples, MAX_SECONDS * self.sample_rate
            require(samples <= most, "self_test.samples", samples, f"1 to {most}, a minute of sound")
            self.self_test.check(len(self.classes), self.grid.num_frames(self.self_test.samples))
        has_steps = self.spectrogram is not None
        require(has_steps == (self.input == "mel"), "metadata.frontend", self.frontend, "steps with mel, else none")
        require(self.batch_size in (None, 1), "metadata.batch_size", self.batch_size, "null or 1")
        require(
            self.median_frames >= 1 and self.median_frames % 2 == 1,
            "metadata.median_frames",
            self.median_frames,
            "an odd number of frames",
        )
        require(0 < self.threshold < 1, "metadata.threshold", self.threshold, "above 0, below 1")
        require(self.task in ("detection", "tagging"), "metadata.task", self.task, "detection or tagging")
        from efficient_sed.postprocessing.carried import Postprocessing  # numpy is not needed for help

        Postprocessing.of(self.postprocessing, self.median_frames, len(self.classes), self.grid.hop_s)
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            require(
                not isinstance(value, str) or is_printable(value), f"metadata.{item.name}", value, "text on one line"
            )

    @property
    def grid(self) -> FrameGrid:
        """The grid of its output frames."""
        return FrameGrid(self.sample_rate, self.hop_length, self.stride, self.first_frame_samples)

    @property
    def clip_samples(self) -> int:
        """Samples of a clip."""
        return round(self.clip_seconds * self.sample_rate)

    @cached_property
    def spectrogram(self) -> Spectrogram | None:
        """The front end of a file that takes spectrograms; None for others.

        Raises:
            ConfigError: If its steps are not known here, or damaged.
        """
        return _spectrogram(self.frontend, self.hop_length) if self.frontend else None

    @property
    def longest_samples(self) -> int | None:
        """Samples of the longest sound that goes through it at once; None for any."""
        return self.max_samples if self.fixed_samples is None else self.fixed_samples

    @property
    def takes(self) -> str:
        """How many inputs of which length it takes at once, for messages."""
        batch = "any batch" if self.batch_size is None else f"batch {self.batch_size}"
        if self.fixed_samples is not None:
            return f"{batch} of {self.fixed_samples / self.sample_rate:g} s"
        longest = "length" if self.max_samples is None else f"up to {self.max_samples / self.sample_rate:g} s"
        return f"{batch} and {longest if self.batch_size is None else f'any {longest}'}"

    def to_metadata(self) -> dict[str, str]:
        """Keys and values, all text."""
        values = {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in dataclasses.asdict(self).items()
        }
        return {FORMAT_KEY: FORMAT, **values}


def _spectrogram(stored: Mapping[str, Any], hop_length: int) -> Spectrogram:
    """The inverse of `Spectrogram.to_dict`."""
    from efficient_sed.audio.frontends.spectrogram import Spectrogram  # numpy is not needed for help
    from efficient_sed.audio.frontends.steps import STEPS

    first, listed = stored.get("first_frame_samples", 0), stored.get("steps", [])
    steps = []
    is_count = isinstance(first, int) and not isinstance(first, bool) and first >= 0
    require(is_count, "metadata.frontend.first_frame_samples", first, "a whole number")
    require(isinstance(listed, list | tuple), "metadata.frontend.steps", listed, "a list")
    for index, item in enumerate(listed):
        key = f"metadata.frontend.steps[{index}]"
        require(isinstance(item, Mapping) and item.get("step") in STEPS, key, item, f"one of {', '.join(STEPS)}")
        steps.append(from_dict(STEPS[item["step"]], {k: v for k, v in item.items() if k != "step"}, key))
    return Spectrogram(steps, hop_length, first)


def read_header(path: Path | str, metadata: Mapping[str, str]) -> Header:
    """Read a file's metadata.

    Args:
        path: Of the file, for messages.
        metadata: As an engine reads them.

    Raises:
        CheckpointError: If they are not those of this package, or of another version of it.
    """
    found = metadata.get(FORMAT_KEY)
    if found is None:
        raise CheckpointError(
            f"{path}: has no metadata of this package; make it by: efficient-sed export MODEL --format FORMAT"
        )
    if found != FORMAT:
        advice = f"this version reads {FORMAT}; make it again by: efficient-sed export MODEL --format FORMAT"
        raise CheckpointError(f"{path}: format {found!r} is not known here; {advice}")
    try:
        return _from_metadata(metadata)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata does not describe a model of this version ({error})") from error


def _from_metadata(metadata: Mapping[str, str]) -> Header:
    """The inverse of `Header.to_metadata`; other keys are ignored."""
    texts = {field.name for field in dataclasses.fields(Header) if field.type in ("str", "InputKind")}
    keys = {field.name for field in dataclasses.fields(Header)}
    return from_dict(
        Header,
        {key: value if key in texts else parse_json(value) for key, value in metadata.items() if key in keys},
        "metadata",
    )
