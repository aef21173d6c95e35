"""The model: front end -> backbone -> sequence head -> classifier."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.model import BackboneConfig, Pooling, SequenceHeadConfig
from efficient_sed.config.values import MAX_CLIP_SECONDS
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import require
from efficient_sed.models.contracts import Backbone, Classifier, SedOutput, SequenceHead
from efficient_sed.models.pooling import POOLINGS
from efficient_sed.models.sequence.identity import IdentityHead


@dataclass(frozen=True)
class ModelSpec:
    """What rebuilds a model without its weights; stored beside them."""

    backbone: BackboneConfig
    seq: SequenceHeadConfig
    classes: tuple[str, ...]
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(canonical, self.classes)))


@dataclass(frozen=True)
class Provenance:
    """What a user of the weights should know; stored beside them."""

    clip_seconds: float = 10.0
    """Length of the clips it was trained on; longer audio is scored in windows of it."""
    median_frames: int = 9
    """Window of the median filter its scores were evaluated with."""
    task: str = "detection"
    """What it was trained for.

    The frame logits of a "tagging" model, and the clip logits of a "detection" one, are untrained.
    """
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Free facts: data set, seed, scores."""
    postprocessing: Mapping[str, Any] = field(default_factory=dict)
    """Plain values of a tuned `Postprocessing`; empty for none."""

    def __post_init__(self) -> None:
        require(
            0 < self.clip_seconds <= MAX_CLIP_SECONDS,
            "clip_seconds",
            self.clip_seconds,
            f"above 0, at most {MAX_CLIP_SECONDS}",
        )
        require(
            self.median_frames >= 1 and self.median_frames % 2 == 1,
            "median_frames",
            self.median_frames,
            "an odd number of frames",
        )
        require(self.task in ("detection", "tagging"), "task", self.task, "detection or tagging")


@functools.cache
def frame_grid(config: BackboneConfig) -> FrameGrid:
    """The grid of every model on a backbone, without its weights."""
    with torch.device("meta"):
        backbone = config.build()
    return config.build_frontend().grid(backbone.time_stride, backbone.first_step_frames)


class LinearClassifier(Classifier):
    """Frame logits from each step, clip logits from the mean over time.

    Clip logits have a layer of their own, or use that of the frames.
    """

    def __init__(self, in_dim: int, num_classes: int, has_clip_layer: bool = True) -> None:
        super().__init__()
        self.strong = nn.Linear(in_dim, num_classes)
        self.weak = nn.Linear(in_dim, num_classes) if has_clip_layer else None

    def forward(self, features: Tensor) -> SedOutput:
        """Features (batch, time, in_dim)."""
        frame_logits: Tensor = self.strong(features).transpose(1, 2)
        return SedOutput(frame_logits, frame_logits.mean(2) if self.weak is None else self.weak(features.mean(1)))


def build_head(spec: ModelSpec, in_dim: int) -> tuple[SequenceHead, Classifier]:
    """What stands behind a backbone whose features have `in_dim` values."""
    sequence = spec.seq.build(in_dim)
    if spec.pooling != "mean":
        return sequence, POOLINGS[spec.pooling](sequence.out_dim, len(spec.classes))
    own = spec.backbone.build_classifier(len(spec.classes)) if isinstance(sequence, IdentityHead) else None
    return sequence, own or LinearClassifier(sequence.out_dim, len(spec.classes), spec.backbone.has_clip_layer)


class SedModel(nn.Module):
    """A sound event detection model; its input is what `model.frontend(waveform)` gives.

    Args:
        spec: Parts and class labels, in logit order.
    """

    is_fused = False
    """Whether it is a copy that `fuse` made, for inference alone."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.provenance = Provenance()
        self.frontend: FrontEnd = spec.backbone.build_frontend()
        self.backbone: Backbone = spec.backbone.build()
        self.backbone.is_altered = False  # whatever was replaced while it was built
        self.sequence, self.classifier = build_head(spec, self.backbone.out_dim)
        self.grid = self.frontend.grid(self.backbone.time_stride, self.backbone.first_step_frames)

    @property
    def classes(self) -> list[str]:
        """Labels in logit order."""
        return list(self.spec.classes)

    def forward(self, mel: Tensor) -> SedOutput:
        """Logits for a spectrogram of shape (batch, 1, mel_bins, frames)."""
        output: SedOutput = self.classifier(self.sequence(self.backbone(mel)))
        return output

    @torch.inference_mode()
    def score_frames(self, waveform: Tensor) -> Tensor:
        """Probabilities (batch, frames, classes) for a waveform (batch, samples) at the front end's sample rate."""
        output: SedOutput = self(self.frontend(waveform))
        return output.frame_logits.float().sigmoid().transpose(1, 2)
