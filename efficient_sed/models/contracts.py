"""What the parts of a model promise each other, and its output. See docs/explanation/design.md."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from efficient_sed.errors import ShapeError
from efficient_sed.registry import SEQUENCE_HEADS


class SedOutput(NamedTuple):
    """Logits of one forward pass.

    Attributes:
        frame_logits: Shape (batch, classes, frames), one frame each 40 ms for fmn.
        clip_logits: Shape (batch, classes).
    """

    frame_logits: Tensor
    clip_logits: Tensor


def check_mel(mel: Any, owner: str, mel_bins: int, least: int = 1, most: int | None = None) -> None:
    """Raise unless it is what a front end gives: a floating-point spectrogram (batch, 1, mel_bins, frames).

    Args:
        mel: Anything.
        owner: What takes it, for the message.
        mel_bins: Bins that it must have.
        least: Frames that it must have.
        most: Frames that it may have, default None: any number.

    Raises:
        TypeError: If it is no tensor, or one of whole numbers.
        ShapeError: If it has another shape, or no clip.
    """
    wanted = f"{owner} takes spectrograms of shape (batch, 1, {mel_bins}, frames)"
    if not isinstance(mel, Tensor) or not mel.is_floating_point():
        given = mel.dtype if isinstance(mel, Tensor) else type(mel).__name__
        raise TypeError(f"{wanted}, torch.Tensors of float32, as model.frontend(waveform) gives them, got {given}")
    is_clip = mel.ndim == 4 and mel.shape[1:3] == (1, mel_bins) and mel.shape[0] > 0
    if is_clip and mel.shape[3] >= least and (most is None or mel.shape[3] <= most):
        return
    limits = f" with at least {least} frames" if least > 1 else ""
    limits += "" if most is None else f" with at most {most} frames"
    hints = {2: "; give model(model.frontend(waveform))", 3: "; mel[:, None] has the second dimension"}
    raise ShapeError(f"{wanted}{limits}, got {tuple(mel.shape)}{hints.get(mel.ndim, '')}")


State = tuple[Tensor, ...]
"""What a causal head remembers between two chunks; each tensor has the batch in front."""


class _Part(nn.Module):
    RELEASED_NAMES: ClassVar[Sequence[tuple[str, str | None]]] = ()
    """Regular expressions and replacements from the released files' parameter names to ours.

    None for a second copy, which is left out.
    """


class Backbone(_Part, abc.ABC):
    """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim).

    It takes any number of frames unless `max_frames` is set.
    """

    out_dim: int
    time_stride: int
    """Spectrogram frames per step."""
    first_step_frames: int = 1
    """Spectrogram frames that give the first step; each further one takes `time_stride` more."""
    max_frames: int | None = None
    """Spectrogram frames at which its positions end, a multiple of `time_stride`; more raise a ValueError.

    None: it has no end.
    """
    is_piecewise: bool = False
    """Whether it does take more, in pieces of `max_frames` that do not know of each other."""
    is_clip_layer_optional: ClassVar[bool] = False
    """Whether released files with it may lack the classifier's clip layer, or have one for other classes."""
    first_decay: ClassVar[int] = 0
    """Power of the layer-wise factor on the rate of its last stage; each stage before it has one more."""
    decays_vectors: ClassVar[bool] = True
    """Whether weight decay takes in biases and norms, tensors of one dimension."""
    has_chained_stages: ClassVar[bool] = False
    """Whether each of its stages runs on what the one before it returned, a tensor, and nothing runs before them."""
    is_altered: bool = False
    """Whether layers were replaced, so that its configuration no longer rebuilds it."""

    @abc.abstractmethod
    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""

    @abc.abstractmethod
    def stages(self) -> list[nn.Module]:
        """Modules from input to output that together hold all parameters: the units of layer-wise learning rates."""


@runtime_checkable
class CountsMacs(Protocol):
    """A module that knows its multiply-accumulate operations: one that owns weights, or multiplies tensors itself."""

    def macs(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Multiply-accumulates of one forward pass, without those of its children, which are counted apart.

        Not counted: biases, norms, activations, and whatever works element by element. A module that only does that,
        such as a norm, gives 0; it may then not multiply tensors in its own forward pass.

        Args:
            inputs: Positional arguments of the forward pass, for a batch of one clip.
            output: What it returned.
        """


@runtime_checkable
class Positioned(Protocol):
    """A module whose kernel has elements with learned positions."""

    def positions(self) -> list[nn.Parameter]:
        """Those that it owns: trained at a rate of their own, without weight decay."""

    def clamp(self) -> None:
        """Bring what a step has moved out of the kernel back to its border."""


class SequenceHead(_Part, abc.ABC):
    """Features (batch, time, in_dim), any time -> (batch, time, out_dim)."""

    out_dim: int
    is_causal: bool = False
    """Whether a step sees only itself and the past."""

    @abc.abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""

    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `CausalHead`.

        Raises:
            TypeError: For a head that sees the future.
        """
        raise TypeError(
            f"{type(self).__name__} sees the future and cannot be fed in pieces; heads that can: "
            f"{', '.join(causal_heads())}"
        )


def causal_heads() -> list[str]:
    """Names of the heads that see only the past."""
    names = []
    for name in SEQUENCE_HEADS.names():
        with torch.device("meta"):
            if SEQUENCE_HEADS.get(name)().build(8).is_causal:
                names.append(name)
    return names


class CausalHead(SequenceHead):
    """A head that can be fed chunk by chunk: `stream` over the chunks gives what `forward` gives at once."""

    is_causal = True

    @abc.abstractmethod
    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Output for a chunk of one step or more, and the state to pass with the next one.

        Args:
            features: Shape (batch, time, in_dim).
            state: What the call on the chunk before returned, default None: the start.
        """

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        return self.stream(features, None)[0]


class Classifier(nn.Module, abc.ABC):
    """Features (batch, time, in_dim), any time -> logits."""

    @abc.abstractmethod
    def forward(self, features: Tensor) -> SedOutput:
        """Features (batch, time, in_dim) to logits."""
