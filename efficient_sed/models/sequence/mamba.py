"""Mamba-2 blocks.

Dao and Gu, "Transformers are SSMs", ICML 2024 (https://arxiv.org/abs/2405.21060), as used by Morocutti et al. 2025,
section II-B: no norm inside the cell, LayerNorm after it. Parameters are named as in the package mamba_ssm, which is
not needed. `mamba` sees only the past, as published; `bimamba` is ours: a second cell with its own weights on the
reversed sequence, both outputs added (as Zhu et al., "Vision Mamba", 2024, https://arxiv.org/abs/2401.09417), so that
it compares with heads that see both ways.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import CausalHead, SequenceHead, State
from efficient_sed.models.sequence.blocks import input_projection, require_layers, require_multiple, require_size
from efficient_sed.models.sequence.ssd import selective_scan
from efficient_sed.registry import SEQUENCE_HEADS

STATE_DIM = 64
KERNEL = 3
EXPAND = 2
DT_RANGE = (1e-3, 1e-1)


class Mamba2(nn.Module):
    """The cell: (batch, time, dim) and a state -> the same and the next state.

    State: the convolution's last inputs (batch, 2 * dim + 2 * 64, 2) and S (batch, heads, head_dim, 64).
    """

    def __init__(self, dim: int, head_dim: int) -> None:
        super().__init__()
        self.inner, self.head_dim = EXPAND * dim, head_dim
        num_heads = self.inner // head_dim
        self.in_proj = nn.Linear(dim, 2 * self.inner + 2 * STATE_DIM + num_heads, bias=False)
        channels = self.inner + 2 * STATE_DIM
        self.conv1d = nn.Conv1d(channels, channels, KERNEL, groups=channels)
        low, high = map(math.log, DT_RANGE)
        step = torch.empty(num_heads).uniform_(low, high).exp()
        self.dt_bias = nn.Parameter(step + (-torch.expm1(-step)).log())  # softplus of it is the step
        self.A_log = nn.Parameter(torch.empty(num_heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(num_heads))
        self.out_proj = nn.Linear(self.inner, dim, bias=False)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Steps (batch, time, dim) and a state, default None: the start; to steps and the next state."""
        tail, memory = (
            state if state is not None else (x.new_zeros(x.shape[0], self.conv1d.in_channels, KERNEL - 1), None)
        )
        num_heads = len(self.D)
        z, convolved, dt = torch.split(self.in_proj(x), [self.inner, self.conv1d.in_channels, num_heads], dim=-1)
        padded = torch.cat([tail.to(convolved.dtype), convolved.transpose(1, 2)], dim=2)
        values, B, C = torch.split(
            F.silu(self.conv1d(padded)).transpose(1, 2), [self.inner, STATE_DIM, STATE_DIM], dim=-1
        )
        with torch.autocast(
            "cpu" if x.is_meta else x.device.type, enabled=False
        ):  # decays multiply over hundreds of steps; autocast knows no meta device
            precision = torch.promote_types(values.dtype, torch.float32)
            dt_bias, A_log, D, values, dt, B, C = (
                tensor.to(precision) for tensor in (self.dt_bias, self.A_log, self.D, values, dt, B, C)
            )
            values = values.reshape(*values.shape[:2], num_heads, self.head_dim)
            y, memory = selective_scan(values, F.softplus(dt + dt_bias), -A_log.exp(), B, C, memory)
            y = (y + D[:, None] * values).flatten(2)
        output = self.out_proj(y.to(z.dtype) * F.silu(z))
        return output, (padded[:, :, -(KERNEL - 1) :].clone(), memory)  # a view would keep the whole chunk

    def macs(self, inputs: tuple[Any, ...], output: Any) -> int:
        """See `contracts.CountsMacs`: into the state and out of it, at each step."""
        return 2 * int(inputs[0].shape[1]) * self.inner * STATE_DIM


class MambaBlock(nn.Module):
    """x + norm(cell(x)), with a state."""

    def __init__(self, dim: int, head_dim: int) -> None:
        super().__init__()
        self.cell = Mamba2(dim, head_dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Steps (batch, time, dim) and a state, default None: the start; to steps and the next state."""
        y, new_state = self.cell(x, state)
        return x + self.norm(y), new_state


class BiMambaBlock(nn.Module):
    """x + norm(cell(x) + cell'(reversed x))."""

    def __init__(self, dim: int, head_dim: int) -> None:
        super().__init__()
        self.forward_cell = Mamba2(dim, head_dim)
        self.backward_cell = Mamba2(dim, head_dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Steps (batch, time, dim) to the same shape."""
        ahead, back = self.forward_cell(x, None)[0], self.backward_cell(x.flip(1), None)[0].flip(1)
        output: Tensor = x + self.norm(ahead + back)
        return output


class _Mamba(SequenceHead):
    def __init__(
        self, in_dim: int, hidden: int, num_layers: int, head_dim: int, block: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.projection = input_projection(in_dim, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.blocks = nn.ModuleList(block(hidden, head_dim) for _ in range(num_layers))
        self.out_dim = hidden

    def precision(self, features: Tensor) -> AbstractContextManager[object]:
        """Training takes place in float32 whatever the rest does, as published."""
        return (
            torch.autocast(features.device.type, enabled=False)
            if self.training and not features.is_meta
            else nullcontext()
        )

    def prepare(self, features: Tensor) -> Tensor:
        """What the blocks read."""
        output: Tensor = self.norm(self.projection(features.to(self.norm.weight.dtype) if self.training else features))
        return output


class MambaHead(_Mamba, CausalHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden). State: two tensors for each layer, see Mamba2."""

    RELEASED_NAMES = (
        (r"^0\.", "projection."),
        (r"^1\.", "norm."),
        (r"^2\.layers\.(\d+)\.0\.", r"blocks.\1.cell."),
        (r"^2\.layers\.(\d+)\.1\.", r"blocks.\1.norm."),
    )

    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `contracts.CausalHead`."""
        new_state: State = ()
        with self.precision(features):
            x = self.prepare(features)
            for index, block in enumerate(self.blocks):
                x, ends = block(x, None if state is None else state[2 * index : 2 * index + 2])
                new_state += ends
        return x, new_state


class BiMambaHead(_Mamba):
    """Features (batch, time, in_dim) -> (batch, time, hidden)."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        with self.precision(features):
            x = self.prepare(features)
            for block in self.blocks:
                x = block(x)
        return x


@SEQUENCE_HEADS.register_family(
    {"mamba": {"head": MambaHead, "block": MambaBlock}, "bimamba": {"head": BiMambaHead, "block": BiMambaBlock}}
)
@dataclass(frozen=True)
class MambaConfig(SequenceHeadConfig):
    """Options of this head."""

    head: ClassVar[type[_Mamba]]
    block: ClassVar[type[nn.Module]]

    hidden: int = 256
    """Model dimension."""
    num_layers: int = 2
    """Number of state-space layers, 1 to 100."""
    head_dim: int | None = None
    """Features that share one decay.

    None: 64, or 32 where hidden is 128, as in the published models, or does not allow 64.
    """

    def __post_init__(self) -> None:
        require_layers(self.num_layers)
        require_size("seq.head_dim", 1 if self.head_dim is None else self.head_dim)
        size = self.features_per_head
        require_multiple(
            self.hidden,
            size // math.gcd(size, EXPAND),
            f"{size // math.gcd(size, EXPAND)} (twice of it is split into heads of seq.head_dim = {size})",
        )

    @property
    def features_per_head(self) -> int:
        """Features that share one decay, with the default resolved."""
        return (
            self.head_dim
            if self.head_dim is not None
            else 32
            if self.hidden == 128 or EXPAND * self.hidden % 64
            else 64
        )

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return self.head(in_dim, self.hidden, self.num_layers, self.features_per_head, self.block)
