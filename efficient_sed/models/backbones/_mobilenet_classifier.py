"""The classifier of MobileNets that tag: two layers on the mean over frequency and time."""

from __future__ import annotations

from torch import Tensor, nn

from efficient_sed.models.backbones.mobilenet_v3 import LARGE, scaled
from efficient_sed.models.contracts import Classifier, SedOutput

HIDDEN, DROPOUT = 1280, 0.2


class MobileNetClassifier(Classifier):
    """Two layers on the mean over time, and on each step as if it were the whole clip.

    Args:
        width: Of the network.
        num_classes: Logits.
    """

    def __init__(self, width: float, num_classes: int) -> None:
        super().__init__()
        in_dim, hidden = 6 * scaled(LARGE[-1].channels_out, width), scaled(HIDDEN, width)
        self.layers = nn.Sequential(
            nn.Linear(in_dim, hidden), nn.Hardswish(), nn.Dropout(DROPOUT), nn.Linear(hidden, num_classes)
        )

    def forward(self, features: Tensor) -> SedOutput:
        """Features (batch, time, in_dim) to logits."""
        return SedOutput(self.layers(features).transpose(1, 2), self.layers(features.mean(1)))
