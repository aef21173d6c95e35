"""BEATs: a transformer on patches of 16 frequencies by 160 ms, with relative positions.

Chen et al., "BEATs: audio pre-training with acoustic tokenizers", ICML 2023 (https://arxiv.org/abs/2212.09058), as
fine-tuned in PretrainedSED; bias of relative positions and its gate as in WavLM (Chen et al. 2022,
https://arxiv.org/abs/2110.13900), residuals as in DeepNorm (Wang et al. 2022, https://arxiv.org/abs/2203.00555). As
published a step sees about two of the eight frequencies, which attention has mixed before. Changed: layers are dropped
by torch's generator; there by NumPy's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.audio.frontends.beats import BeatsMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.transformers import KALDI_BINS
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.backbones._initialise import init_linear
from efficient_sed.models.backbones._transformer import (
    CLIP_COLUMNS,
    DIM,
    NUM_BLOCKS,
    NUM_HEADS,
    PATCH,
    FrameTransformer,
    average_to_steps,
    whole_patches,
)
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.sequence.blocks import attention_macs, merge_heads, split_heads
from efficient_sed.models.weight_norm import WeightNormConv1d
from efficient_sed.registry import BACKBONES

FREQUENCIES = KALDI_BINS // PATCH
PATCH_DIM = 512
POSITION_KERNEL, POSITION_GROUPS = 128, 16
NUM_BUCKETS, NUM_EXACT, MAX_DISTANCE = (
    160,
    80,
    800,
)  # for each direction; distances in tokens, of which a column has eight
NUM_GATES = 2
DROPOUT, LAYER_DROP = 0.1, 0.05
RESIDUAL_SCALE = (2 * NUM_BLOCKS) ** 0.25
BRANCH_GAIN = (8 * NUM_BLOCKS) ** -0.25


def position_convolution() -> WeightNormConv1d:
    """Grouped convolution over 128 tokens, t - 64 to t + 63 for token t.

    All kernels share one length for each element.
    """
    return WeightNormConv1d(
        DIM,
        POSITION_KERNEL,
        std=math.sqrt(4 / (POSITION_KERNEL * DIM)),
        norm_dims=(0, 1),
        groups=POSITION_GROUPS,
        padding=(POSITION_KERNEL // 2, POSITION_KERNEL // 2 - 1),
    )


class RelativeBias(nn.Module):
    """What each head adds for the distance of key from query, one table for all blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(2 * NUM_BUCKETS, NUM_HEADS).normal_(0, 0.02))

    def forward(self, length: int) -> Tensor:
        """Shape (heads, queries, keys)."""
        place = torch.arange(length, device=self.table.device)
        return self.table[relative_bucket(place - place[:, None])].permute(2, 0, 1)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0


def relative_bucket(distance: Tensor) -> Tensor:
    """Row of the table for a distance from query to key.

    Near distances have a row each, far ones share rows logarithmically; rows of keys behind the query follow those of
    keys before it.
    """
    far = distance.abs().clamp(min=NUM_EXACT)
    share = torch.log(far.float() / NUM_EXACT) / math.log(MAX_DISTANCE / NUM_EXACT)
    logarithmic = (NUM_EXACT + (share * (NUM_BUCKETS - NUM_EXACT)).long()).clamp(max=NUM_BUCKETS - 1)
    return torch.where(distance.abs() < NUM_EXACT, distance.abs(), logarithmic) + NUM_BUCKETS * (distance > 0)


class BeatsEmbedding(nn.Module):
    """Spectrogram (batch, 1, 128, frames) -> patches, time outermost, with a trace of where they lie.

    And the bias of relative positions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, PATCH_DIM, PATCH, PATCH, bias=False)
        self.patch_norm = nn.LayerNorm(PATCH_DIM)
        self.project = nn.Linear(PATCH_DIM, DIM)
        self.positions = position_convolution()
        self.norm = nn.LayerNorm(DIM)
        self.relative_bias = RelativeBias()
        self.dropout = nn.Dropout(DROPOUT)
        init_linear(self)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes (batch, length, 768) and (heads, length, length)."""
        patches = self.patch(whole_patches(mel).transpose(2, 3)).flatten(2).transpose(1, 2)  # (B, T / 16 * 8, 512)
        x = self.dropout(self.project(self.patch_norm(patches)))
        x = x + F.gelu(self.positions(x.transpose(1, 2)).transpose(1, 2))
        return self.dropout(self.norm(x)), self.relative_bias(x.shape[1])


class BiasedAttention(nn.Module):
    """Multi-head self-attention whose bias is gated by each head's own query."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(DIM, DIM) for _ in range(4))
        self.gate = nn.Linear(DIM // NUM_HEADS, 4 * NUM_GATES)
        self.gate_scale = nn.Parameter(torch.ones(1, NUM_HEADS, 1, 1))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Tokens (batch, length, 768) and bias (heads, length, length) to tokens."""
        q, k, v = (split_heads(layer(x), NUM_HEADS) for layer in (self.q, self.k, self.v))  # each (B, heads, L, 64)
        update, reset = self.gate(q).unflatten(-1, (NUM_GATES, 4)).sum(-1).sigmoid().chunk(NUM_GATES, dim=-1)
        gate = update * (reset * self.gate_scale - 1) + 2  # (B, heads, L, 1)
        attended = F.scaled_dot_product_attention(
            q, k, v, attn_mask=(gate * bias).to(q.dtype), dropout_p=DROPOUT if self.training else 0.0
        )
        output: Tensor = self.out(merge_heads(attended))
        return output

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`: queries by keys, and weights by values."""
        return attention_macs(inputs[0].shape[1], inputs[0].shape[2])


class BeatsBlock(nn.Module):
    """Attention and feed-forward, each followed by a norm of the sum with its scaled input."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = BiasedAttention()
        self.attention_norm = nn.LayerNorm(DIM)
        self.fc1, self.fc2 = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)
        self.norm = nn.LayerNorm(DIM)
        self.dropout = nn.Dropout(DROPOUT)
        init_linear(self.attention.gate)
        for layer in (self.attention.q, self.attention.k, self.attention.v, self.attention.out, self.fc1, self.fc2):
            nn.init.xavier_normal_(layer.weight, 1.0 if layer in (self.attention.q, self.attention.k) else BRANCH_GAIN)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Tokens (batch, length, 768) and bias (heads, length, length) to tokens."""
        x = self.attention_norm(RESIDUAL_SCALE * x + self.dropout(self.attention(x, bias)))
        output: Tensor = self.norm(RESIDUAL_SCALE * x + self.dropout(self.fc2(F.gelu(self.fc1(x)))))
        return output


_LAYER = r"^(?:beats\.)?encoder\.layers\.(\d+)\."


class Beats(FrameTransformer):
    """See the module."""

    label, mel_bins = "beats", KALDI_BINS
    RELEASED_NAMES = (
        (
            r"^(?:beats\.)?encoder\.layers\.0\.self_attn\.relative_attention_bias\.weight$",
            "embedding.relative_bias.table",
        ),
        (r"self_attn\.relative_attention_bias\.weight$", None),  # the same table, listed in every block
        (_LAYER + r"self_attn\.(q|k|v|out)_proj\.", r"blocks.\1.attention.\2."),
        (_LAYER + r"self_attn\.grep_linear\.", r"blocks.\1.attention.gate."),
        (_LAYER + r"self_attn\.grep_a$", r"blocks.\1.attention.gate_scale"),
        (_LAYER + r"self_attn_layer_norm\.", r"blocks.\1.attention_norm."),
        (_LAYER + r"final_layer_norm\.", r"blocks.\1.norm."),
        (_LAYER, r"blocks.\1."),
        (r"^(?:beats\.)?encoder\.pos_conv\.0\.parametrizations\.weight\.original0$", "embedding.positions.weight_g"),
        (r"^(?:beats\.)?encoder\.pos_conv\.0\.parametrizations\.weight\.original1$", "embedding.positions.weight_v"),
        (r"^(?:beats\.)?encoder\.pos_conv\.0\.", "embedding.positions."),
        (r"^(?:beats\.)?encoder\.layer_norm\.", "embedding.norm."),
        (r"^(?:beats\.)?patch_embedding\.", "embedding.patch."),
        (r"^(?:beats\.)?layer_norm\.", "embedding.patch_norm."),
        (r"^(?:beats\.)?post_extract_proj\.", "embedding.project."),
    )

    def __init__(self) -> None:
        super().__init__(BeatsEmbedding(), nn.ModuleList(BeatsBlock() for _ in range(NUM_BLOCKS)), nn.Identity())

    def tokens(self, mel: Tensor) -> Tensor:
        """See `FrameTransformer`."""
        x, bias = self.embedding(mel)
        for block in self.blocks:
            if not (self.training and torch.rand(()) < LAYER_DROP):
                x = block(x, bias)
        tokens: Tensor = x
        return tokens

    def to_steps(self, tokens: Tensor, steps: int) -> Tensor:
        """See `FrameTransformer`."""
        return average_to_steps(tokens, steps, CLIP_COLUMNS * FREQUENCIES)


@BACKBONES.register("beats")
@dataclass(frozen=True)
class BeatsConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False

    def build(self) -> Backbone:
        """The network, with random weights."""
        return Beats()

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return BeatsMel()
