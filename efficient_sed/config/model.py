"""Options that every backbone and every sequence head has. Components subclass these configs in their own file.

Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from efficient_sed.audio.frontends.mel import FrontEnd
    from efficient_sed.models.contracts import Backbone, Classifier, SequenceHead

Pooling = Literal["mean", "attention", "linear_softmax"]
MAX_HIDDEN = 8192  # ten times the largest released


@dataclass(frozen=True)
class BackboneConfig:
    """Turns a log-mel spectrogram into one feature vector per step."""

    name: ClassVar[str]

    init: str | None = None
    """Weights to start from; only the backbone is taken from them. Default null: random weights.

    A tag: `synthetic`, `im` and `as` (ImageNet and AudioSet weights of EfficientAT), `ssl`, `weak` and `strong` (of
    PretrainedSED's transformers); each stands for the released weights of this backbone, such as fmn10_synthetic.
    Or a released name, timm's name of its ImageNet weights (`mobilenetv3_large_100` for fmn10), a model on the
    hub (`hf:user/name`), or a file.
    """

    weights_of: ClassVar[str | None] = None
    """Another backbone with weights of the same shapes, which `init` takes, too; such as one with other strides."""
    timm_name: ClassVar[str | None] = None
    """What timm calls the network with the weights that it trained on ImageNet."""
    has_mel_jitter: ClassVar[bool] = True
    """Whether `train.augment.mel_jitter` can move the edges of its front end's bank."""
    has_clip_layer: ClassVar[bool] = True
    """Whether the clip logits have a linear layer of their own; else they are the frame logits' mean over time."""

    @property
    def has_own_classifier(self) -> bool:
        """Whether a model without a sequence head has the backbone's classifier instead of the usual one."""
        return type(self).build_classifier is not BackboneConfig.build_classifier

    def build(self) -> Backbone:
        """The network, with random weights."""
        raise TypeError(f"{type(self).__name__} does not say how to build a backbone")

    def build_frontend(self) -> FrontEnd:
        """What computes the spectrogram that the backbone takes; by default the log-mel of the released models."""
        from efficient_sed.audio.frontends.mel import LogMel

        return LogMel()

    def build_classifier(self, num_classes: int) -> Classifier | None:
        """A classifier that belongs to the backbone, for models without a sequence head; None for the usual one."""
        return None


@dataclass(frozen=True)
class SequenceHeadConfig:
    """Models context over the backbone's steps. Heads with a size add a field `hidden`."""

    name: ClassVar[str]

    def build(self, in_dim: int) -> SequenceHead:
        """The head, with random weights.

        Args:
            in_dim: Size of the backbone's feature vectors.
        """
        raise TypeError(f"{type(self).__name__} does not say how to build a sequence head")


@dataclass(frozen=True)
class ClassifierConfig:
    """From features to scores of frames and of clips."""

    pooling: Pooling = "mean"
    """How a clip's scores come about: `mean` has a linear layer on the mean of the features over time, or takes the
    mean of the frames' logits (backbones of published systems); `attention` weights the frames' scores by a softmax
    over time of a linear layer; `linear_softmax` weights them by themselves. With the last two, weak labels teach the
    frames as well."""
