"""Classifiers whose clip scores are weighted means of the frames' scores, so that labels of clips teach the frames.

Wang, Li and Metze 2019, "A comparison of five multiple instance learning pooling functions for sound event detection
with weak labeling" (https://arxiv.org/abs/1810.09050).
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from efficient_sed.models.contracts import Classifier, SedOutput

EPSILON = 1e-6  # scores of clips keep this distance from 0 and 1, whose logits are infinite


class PoolingClassifier(Classifier, abc.ABC):
    """Frame logits by a linear layer, clip logits from the weighted mean of the frames' scores over time."""

    def __init__(self, in_dim: int, num_classes: int) -> None:
        super().__init__()
        self.strong = nn.Linear(in_dim, num_classes)

    @abc.abstractmethod
    def weights(self, features: Tensor, scores: Tensor) -> Tensor:
        """Weight of each frame, 0 or more, shape (batch, time, classes).

        Args:
            features: Shape (batch, time, in_dim).
            scores: Of the frames, in [0, 1], shape (batch, time, classes).
        """

    def macs(self, inputs: tuple[Any, ...], output: SedOutput) -> int:
        """One for each frame and class: the weighted sum; the layers are counted apart."""
        return output.frame_logits[0].numel()

    def forward(self, features: Tensor) -> SedOutput:
        """Features (batch, time, in_dim)."""
        frame_logits: Tensor = self.strong(features)
        scores = frame_logits.float().sigmoid()
        weights = self.weights(features, scores)
        total = weights.sum(1).clamp(min=EPSILON)
        clip_scores = ((weights * scores).sum(1) / total).clamp(EPSILON, 1 - EPSILON)
        return SedOutput(frame_logits.transpose(1, 2), (clip_scores / (1 - clip_scores)).log())


class AttentionClassifier(PoolingClassifier):
    """Weights are the softmax over time of a linear layer of their own."""

    def __init__(self, in_dim: int, num_classes: int) -> None:
        super().__init__(in_dim, num_classes)
        self.attention = nn.Linear(in_dim, num_classes)

    def weights(self, features: Tensor, scores: Tensor) -> Tensor:
        """See `PoolingClassifier.weights`."""
        attention: Tensor = self.attention(features)
        return attention.float().softmax(1)


class LinearSoftmaxClassifier(PoolingClassifier):
    """A frame's weight is its score."""

    def weights(self, features: Tensor, scores: Tensor) -> Tensor:
        """See `PoolingClassifier.weights`."""
        return scores


POOLINGS: Mapping[str, type[PoolingClassifier]] = {
    "attention": AttentionClassifier,
    "linear_softmax": LinearSoftmaxClassifier,
}
"""Classifiers by `classifier.pooling`; "mean" is the usual one."""
