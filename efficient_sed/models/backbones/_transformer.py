"""What the frame-level transformers of PretrainedSED share.

Twelve blocks of width 768, and the way from their tokens to steps of 40 ms.

Schmid et al., "Effective pre-training of audio transformers for sound event detection", 2024
(https://arxiv.org/abs/2409.09546). Their tokens of 10 s are averaged, or interpolated, to 250 steps; in a shorter clip
a step takes here the tokens that it takes in one of 10 s.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.models.backbones._initialise import INIT_STD, init_linear
from efficient_sed.models.contracts import Backbone, check_mel

DIM, NUM_BLOCKS, NUM_HEADS = 768, 12, 12
TIME_STRIDE = 4
CLIP_FRAMES, CLIP_STEPS = 1000, 250
PATCH = 16  # frequencies and frames
CLIP_COLUMNS = CLIP_FRAMES // PATCH  # 62: the last 8 frames of 10 s are in none


class FrameTransformer(Backbone):
    """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim).

    It takes 10 s at most, or longer clips in pieces of 10 s.

    Args:
        embedding: Spectrogram to tokens (batch, length, 768).
        blocks: What they go through.
        norm: What follows the last block.
    """

    label: ClassVar[str]
    mel_bins: ClassVar[int]
    time_stride = TIME_STRIDE
    out_dim = DIM
    max_frames = CLIP_FRAMES
    is_clip_layer_optional = True
    first_decay = 1
    decays_vectors = False

    def __init__(self, embedding: nn.Module, blocks: nn.Sequential | nn.ModuleList, norm: nn.Module) -> None:
        super().__init__()
        self.embedding, self.blocks, self.norm = embedding, blocks, norm

    def tokens(self, mel: Tensor) -> Tensor:
        """What the published network gives, shape (batch, length, out_dim)."""
        tokens: Tensor = self.norm(self.blocks(self.embedding(mel)))
        return tokens

    def to_steps(self, tokens: Tensor, steps: int) -> Tensor:
        """Shape (batch, steps, out_dim); one token is a step unless a network has them otherwise."""
        return tokens

    def forward(self, mel: Tensor) -> Tensor:
        check_mel(mel, self.label, self.mel_bins, most=None if self.is_piecewise else CLIP_FRAMES)
        if mel.shape[3] > CLIP_FRAMES:
            return torch.cat([self(piece) for piece in torch.split(mel, CLIP_FRAMES, dim=3)], 1)
        return self.to_steps(self.tokens(mel), (mel.shape[3] + TIME_STRIDE - 1) // TIME_STRIDE)

    def stages(self) -> list[nn.Module]:
        """One a block, as published; the first holds all before it, the last all behind it."""
        first, *between, last = self.blocks
        return [nn.ModuleList([self.embedding, first]), *between, nn.ModuleList([last, self.norm])]


def layer_norm() -> nn.LayerNorm:
    return nn.LayerNorm(DIM, eps=1e-6)


def vision_blocks(has_qkv_bias: bool = True) -> nn.Sequential:
    """Pre-norm blocks of a vision transformer."""
    from timm.models.vision_transformer import Block

    norm: Any = partial(nn.LayerNorm, eps=1e-6)
    blocks = nn.Sequential(*(Block(DIM, NUM_HEADS, qkv_bias=has_qkv_bias, norm_layer=norm) for _ in range(NUM_BLOCKS)))
    init_linear(blocks)
    return blocks


def learned(*shape: int) -> nn.Parameter:
    """A small random token, or a table of positions."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=INIT_STD))


def whole_patches(mel: Tensor) -> Tensor:
    """Pad the spectrogram with zeros to a whole patch, and cut it to the patches of 10 s.

    Zero is the mean of what the networks were trained on.
    """
    return F.pad(mel, (0, -mel.shape[3] % PATCH))[..., : CLIP_COLUMNS * PATCH]


def average_to_steps(tokens: Tensor, steps: int, clip_tokens: int) -> Tensor:
    """Average the two or three tokens that reach into a step.

    This is adaptive average pooling of `clip_tokens` to 250, or the beginning of it.

    Args:
        tokens: Shape (batch, length, dim).
        steps: How many of 40 ms to give.
        clip_tokens: Tokens of 10 s, 250 to 500.
    """
    step = torch.arange(steps, device=tokens.device)[:, None]
    place = step * clip_tokens // CLIP_STEPS + torch.arange(3, device=tokens.device)
    is_inside = place * CLIP_STEPS < (step + 1) * clip_tokens
    return _mix(tokens, place, is_inside / is_inside.sum(1, keepdim=True))


def interpolate_to_steps(tokens: Tensor, steps: int, clip_tokens: int) -> Tensor:
    """Linear interpolation between the centres of neighbours: of `clip_tokens` to 250, or the beginning of it.

    Args:
        tokens: Shape (batch, length, dim).
        steps: How many of 40 ms to give.
        clip_tokens: Tokens of 10 s, fewer than 250.
    """
    step = torch.arange(steps, device=tokens.device, dtype=torch.float32)[:, None]
    centre = ((step + 0.5) * (clip_tokens / CLIP_STEPS) - 0.5).clamp(min=0)
    left = centre.floor()
    share = centre - left
    return _mix(tokens, left.long() + torch.arange(2, device=tokens.device), torch.cat([1 - share, share], 1))


def _mix(tokens: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of tokens.

    Place and weight of shape (steps, neighbours), the last token stands for those behind it.
    """
    neighbours = tokens[:, place.clamp(max=tokens.shape[1] - 1)]  # (B, steps, neighbours, dim)
    return (neighbours * weight.to(tokens.dtype).unsqueeze(2)).sum(2)
