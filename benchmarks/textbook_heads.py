"""Textbook forms of all sequence heads: slow and obvious, sharing no code with the heads whose weights they read.

`heads.py` measures our heads against `textbook(head, features)`, and tests compare the two in float64. Recurrences are
loops over the steps; the minGRU also has the log-space form of the published code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Weights = Mapping[str, Tensor]


def textbook(head: nn.Module, features: Tensor, *, use_log_space: bool = False) -> Tensor:
    """Compute the output of a head in evaluation mode, in the precision of its weights.

    Args:
        head: One of our heads, for its weights.
        features: Shape (batch, time, in_dim).
        use_log_space: Run minGRUs in log space, as published, instead of step by step.
    """
    weights = dict(head.named_parameters()) | dict(head.named_buffers())
    scan = mingru_log_space if use_log_space else mingru_loop
    name = type(head).__name__
    if name == "IdentityHead":
        return features
    if name in ("GruHead", "CausalGruHead"):
        return gru(weights, features)
    x = (
        F.linear(features, weights["projection.weight"], weights["projection.bias"])
        if "projection.weight" in weights
        else features
    )
    heads: dict[str, Callable[[], Tensor]] = {
        "TransformerHead": lambda: transformer(weights, x, head.blocks[0].attention.num_heads),  # type: ignore[index, union-attr]
        "AttentionHead": lambda: attention_only(weights, x, head.blocks[0].num_heads),  # type: ignore[index, union-attr]
        "TcnHead": lambda: tcn(weights, x, is_causal=True),
        "BiTcnHead": lambda: tcn(weights, x, is_causal=False),
        "MambaHead": lambda: mamba(weights, x),
        "BiMambaHead": lambda: mamba(weights, x),
        "HybridHead": lambda: hybrid(weights, x, head.blocks[0].mixer.num_heads, scan),  # type: ignore[index, union-attr]
        "MinGruHead": lambda: mingru_head(weights, x, scan),
        "DilatedHead": lambda: dilated(weights, x, head.conv.dilation[0], head.conv.stride[1]),  # type: ignore[index, union-attr, arg-type]
    }
    if name not in heads:
        raise KeyError(f"no textbook form of {name}: write one in {__file__}")
    return heads[name]()


def part(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """The weights below a prefix."""
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def num_blocks(weights: Weights) -> int:
    """Count the blocks of a head."""
    return len({key.split(".")[1] for key in weights if key.startswith("blocks.")})


def rms_norm(x: Tensor, gamma: Tensor) -> Tensor:
    """Divide by the root of the mean square over features."""
    return x / torch.sqrt((x * x).sum(-1, keepdim=True)) * math.sqrt(x.shape[-1]) * gamma


def rotate(x: Tensor, freqs: Tensor) -> Tensor:
    """Rotate each pair of features, a complex number, by time times frequency; angles in float32, as published."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # complex numbers have no half precision
    angle = (torch.arange(x.shape[2], device=x.device, dtype=torch.float32)[:, None] * freqs.float()).to(wide.dtype)
    pairs = torch.view_as_complex(wide.unflatten(-1, (-1, 2)).contiguous())  # type: ignore[no-untyped-call]
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, with the whole matrix of weights."""
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1) @ v


def heads_of(x: Tensor, num_heads: int) -> Tensor:
    """Split features (batch, time, dim) among heads."""
    B, T, D = x.shape
    return x.view(B, T, num_heads, D // num_heads).transpose(1, 2)


def gated_attention(weights: Weights, x: Tensor, num_heads: int) -> Tensor:
    """Attention whose output is gated."""
    x = rms_norm(x, weights["norm.gamma"])
    D = x.shape[-1]
    q, k, v = (heads_of(F.linear(x, weights["qkv.weight"][i * D : (i + 1) * D]), num_heads) for i in range(3))
    output = attend(rotate(q, weights["rotary.freqs"]), rotate(k, weights["rotary.freqs"]), v)
    gates = torch.sigmoid(F.linear(x, weights["gates.weight"], weights["gates.bias"]))
    return F.linear((output * gates.transpose(1, 2)[..., None]).transpose(1, 2).reshape(x.shape), weights["out.weight"])


def feed_forward(weights: Weights, x: Tensor) -> Tensor:
    """Normalise, then two linear layers with GELU between them."""
    wide = F.linear(rms_norm(x, weights["0.gamma"]), weights["1.weight"], weights["1.bias"])
    return F.linear(wide * 0.5 * (1 + torch.erf(wide / math.sqrt(2))), weights["4.weight"], weights["4.bias"])


def transformer(weights: Weights, x: Tensor, num_heads: int) -> Tensor:
    """Blocks of attention and a feed-forward layer."""
    for index in range(num_blocks(weights)):
        x = x + gated_attention(part(weights, f"blocks.{index}.attention."), x, num_heads)
        x = x + feed_forward(part(weights, f"blocks.{index}.feed_forward."), x)
    return rms_norm(x, weights["norm.gamma"])


def attention_only(weights: Weights, x: Tensor, num_heads: int) -> Tensor:
    """Blocks of attention alone."""
    for index in range(num_blocks(weights)):
        x = x + gated_attention(part(weights, f"blocks.{index}."), x, num_heads)
    return x


def gru(weights: Weights, x: Tensor) -> Tensor:
    """Cho et al. 2014, layer by layer and step by step, with the reset gate on the projected state, as in PyTorch."""
    layer = 0
    while f"gru.weight_ih_l{layer}" in weights:
        outputs = []
        for suffix in ("", "_reverse"):
            if f"gru.weight_ih_l{layer}{suffix}" not in weights:
                continue
            w_in, w_state, b_in, b_state = (
                weights[f"gru.{kind}_l{layer}{suffix}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h = x.new_zeros(len(x), w_state.shape[1])
            states = []
            for step in x.flip(1).unbind(1) if suffix else x.unbind(1):
                r_in, z_in, n_in = F.linear(step, w_in, b_in).chunk(3, -1)
                r_state, z_state, n_state = F.linear(h, w_state, b_state).chunk(3, -1)
                z = torch.sigmoid(z_in + z_state)
                h = (1 - z) * torch.tanh(n_in + torch.sigmoid(r_in + r_state) * n_state) + z * h
                states.append(h)
            output = torch.stack(states, 1)
            outputs.append(output.flip(1) if suffix else output)
        x = torch.cat(outputs, -1)
        layer += 1
    return x


def tcn(weights: Weights, x: Tensor, *, is_causal: bool) -> Tensor:
    """Padded on both sides and, if causal, the future chopped off, as in Bai et al. 2018."""
    x = x.transpose(1, 2)
    for index in range(num_blocks(weights)):
        y = x
        for stage in range(5):
            z = y
            for conv in ("conv1", "conv2"):
                w = part(weights, f"blocks.{index}.{stage}.{conv}.")
                kernel = w["weight_g"] * w["weight_v"] / w["weight_v"].square().sum((1, 2), keepdim=True).sqrt()
                padding = 2 * 2**stage if is_causal else 2**stage
                z = torch.relu(F.conv1d(z, kernel, w["bias"], padding=padding, dilation=2**stage)[:, :, : x.shape[2]])
            y = torch.relu(y + z)
        x = x + y
    return x.transpose(1, 2)


def mamba(weights: Weights, x: Tensor) -> Tensor:
    """Blocks of Mamba-2, step by step."""
    D = x.shape[-1]
    x = F.layer_norm(x, (D,), weights["norm.weight"], weights["norm.bias"])
    for index in range(num_blocks(weights)):
        w = part(weights, f"blocks.{index}.")
        if "cell.D" in w:
            y = mamba_cell(part(w, "cell."), x)
        else:
            y = mamba_cell(part(w, "forward_cell."), x) + mamba_cell(part(w, "backward_cell."), x.flip(1)).flip(1)
        x = x + F.layer_norm(y, (D,), w["norm.weight"], w["norm.bias"])
    return x


def mamba_cell(w: Weights, x: Tensor) -> Tensor:
    """Dao and Gu 2024, the recurrent form: one step at a time."""
    inner, num_heads = 2 * x.shape[-1], len(w["D"])
    channels = inner + 128
    z, xbc, dt = torch.split(F.linear(x, w["in_proj.weight"]), [inner, channels, num_heads], dim=-1)
    kernel = w["conv1d.weight"][:, 0]  # (channels, 3)
    past = F.pad(xbc, (0, 0, 2, 0))
    xbc = F.silu(sum(past[:, k : k + x.shape[1]] * kernel[:, k] for k in range(3)) + w["conv1d.bias"])
    values, B, C = torch.split(xbc, [inner, 64, 64], dim=-1)
    values = values.unflatten(-1, (num_heads, -1))  # type: ignore[no-untyped-call]
    dt = F.softplus(dt + w["dt_bias"])
    state = x.new_zeros(len(x), num_heads, values.shape[-1], 64)
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(-dt[:, t] * w["A_log"].exp())[..., None, None]
        state = state * decay + (dt[:, t, :, None] * values[:, t])[..., None] * B[:, t, None, None]
        outputs.append((state * C[:, t, None, None]).sum(-1) + w["D"][:, None] * values[:, t])
    y = torch.stack(outputs, 1).flatten(2)
    return F.linear(y * F.silu(z), w["out_proj.weight"])


Scan = Callable[[Tensor, Tensor], Tensor]


def mingru_loop(hidden: Tensor, gate: Tensor) -> Tensor:
    """h_t = (1 - z_t) h_{t-1} + z_t g(hidden_t), one step at a time."""
    h = torch.zeros_like(hidden[:, 0])
    states = []
    for t in range(hidden.shape[1]):
        z = torch.sigmoid(gate[:, t])
        candidate = torch.where(hidden[:, t] >= 0, hidden[:, t] + 0.5, torch.sigmoid(hidden[:, t]))
        h = (1 - z) * h + z * candidate
        states.append(h)
    return torch.stack(states, 1)


def mingru_log_space(hidden: Tensor, gate: Tensor) -> Tensor:
    """The same by cumulated logarithms (Heinsen 2023; Feng et al. 2024, appendix B), in float32 or better."""
    precision = hidden.dtype
    hidden, gate = (x.to(torch.promote_types(precision, torch.float32)) for x in (hidden, gate))
    log_decay, log_update = -F.softplus(gate), -F.softplus(-gate)
    log_candidate = torch.where(hidden >= 0, (F.relu(hidden) + 0.5).log(), -F.softplus(-hidden))
    total = log_decay.cumsum(1)
    return (total + torch.logcumsumexp(log_update + log_candidate - total, dim=1)).exp().to(precision)


def hybrid(weights: Weights, x: Tensor, num_heads: int, scan: Scan) -> Tensor:
    """Blocks of attention and minGRU side by side, with feed-forward layers."""
    for index in range(num_blocks(weights)):
        w = part(weights, f"blocks.{index}.")
        y = rms_norm(x, w["norm.gamma"])
        D = y.shape[-1]
        q, k, v = (heads_of(F.linear(y, w["mixer.qkv.weight"][i * D : (i + 1) * D]), num_heads) for i in range(3))
        ahead = scan(*F.linear(y, w["mixer.recurrent.forward_cell.weight"]).chunk(2, -1))
        back = scan(*F.linear(y.flip(1), w["mixer.recurrent.backward_cell.weight"]).chunk(2, -1)).flip(1)
        recurrent = heads_of(F.linear(torch.cat([ahead, back], -1), w["mixer.recurrent.combine.weight"]), num_heads)
        mixed = 0.5 * rms_norm(recurrent, w["mixer.recurrent_norm.gamma"]) + 0.5 * rms_norm(
            attend(q, k, v), w["mixer.attention_norm.gamma"]
        )
        x = x + F.linear(mixed.transpose(1, 2).reshape(x.shape), w["mixer.out.weight"])
        x = x + feed_forward(part(w, "feed_forward."), x)
    return rms_norm(x, weights["norm.gamma"])


def mingru_head(weights: Weights, x: Tensor, scan: Scan) -> Tensor:
    """Blocks of a minGRU and a feed-forward layer."""
    for index in range(num_blocks(weights)):
        w = part(weights, f"blocks.{index}.")
        x = x + scan(*F.linear(rms_norm(x, w["norm.gamma"]), w["cell.weight"]).chunk(2, -1))
        x = x + feed_forward(part(w, "feed_forward."), x)
    return rms_norm(x, weights["norm.gamma"])


def dilated(weights: Weights, x: Tensor, dilation: int, stride: int) -> Tensor:
    """The patches under the kernel laid out as columns, times the kernel."""
    kernel = weights["conv.weight"]  # (channels, 1, k, k)
    C, k = len(kernel), kernel.shape[-1]
    columns = F.unfold(
        x[:, None], k, dilation=(dilation, 1), padding=(dilation * (k - 1) // 2, 0), stride=(1, stride)
    )  # (B, k * k, T * width)
    output = torch.relu(kernel.view(C, k * k) @ columns + weights["conv.bias"][:, None]).view(len(x), C, x.shape[1], -1)
    scale = weights["norm.weight"] / torch.sqrt(weights["norm.running_var"] + 1e-5)
    normed = (output - weights["norm.running_mean"][:, None, None]) * scale[:, None, None] + weights["norm.bias"][
        :, None, None
    ]
    return normed.permute(0, 2, 1, 3).flatten(2)
