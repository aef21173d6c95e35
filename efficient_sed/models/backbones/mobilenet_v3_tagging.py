"""MobileNetV3 (mn) that tags clips, with the strides of the first paper and its own classifier.

Schmid, Koutini and Widmer, "Efficient Large-Scale Audio Tagging Via Transformer-To-CNN Knowledge Distillation", ICASSP
2023 (https://arxiv.org/abs/2211.04772); `fmn` is its form for detection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from efficient_sed.audio.frontends.efficientat import EfficientAtMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.backbones._mobilenet_classifier import MobileNetClassifier
from efficient_sed.models.backbones.mobilenet_v3 import TAGGING, WIDTHS, FrameMobileNet
from efficient_sed.models.contracts import Backbone, Classifier
from efficient_sed.registry import BACKBONES


@BACKBONES.register_family({f"mn{name}": {"width": width} for name, width in WIDTHS.items()})
@dataclass(frozen=True)
class MnConfig(BackboneConfig):
    """MobileNetV3 of one width for tagging: a step of 320 ms."""

    width: ClassVar[float]
    has_mel_jitter: ClassVar[bool] = False

    def build(self) -> Backbone:
        """The network, with random weights."""
        return FrameMobileNet(self.width, TAGGING)

    def build_frontend(self) -> FrontEnd:
        """The log-mel at 32 kHz that the released weights were trained on."""
        return EfficientAtMel()

    def build_classifier(self, num_classes: int) -> Classifier:
        """The network's own classifier, for models without a sequence head."""
        return MobileNetClassifier(self.width, num_classes)
