"""Every head against its textbook form in float64, and the scans by themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import assert_rounds_like, error
from textbook_heads import mingru_log_space, mingru_loop, textbook
from torch import Tensor

from efficient_sed.models.contracts import CausalHead, SequenceHead
from efficient_sed.models.sequence._scan import blockwise_scan, chunked_scan, doubling_scan, linear_scan
from efficient_sed.models.sequence.blocks import RMSNorm
from efficient_sed.models.sequence.mingru import mingru_states
from efficient_sed.models.sequence.ssd import chunked_selective_scan, has_kernels, selective_scan
from efficient_sed.registry import SEQUENCE_HEADS

IN_DIM, HIDDEN = 48, 64
FRAMES = (1, 37, 1013)


def random_head(name: str) -> SequenceHead:
    torch.manual_seed(0)
    entry = SEQUENCE_HEADS.get(name)
    head: SequenceHead = (entry() if name == "none" else entry(hidden=HIDDEN)).build(IN_DIM).eval()
    for (
        key,
        value,
    ) in head.state_dict().items():  # nothing at a value that hides a mistake, such as a norm's factor of one
        if key.endswith(("gamma", "norm.weight", "D", "weight_g", "running_var")):
            value.mul_(torch.empty_like(value).uniform_(0.5, 1.5))
        elif key.endswith(("bias", "running_mean")):
            value.add_(0.1 * torch.randn_like(value))
    return head


def features(frames: int) -> Tensor:
    return torch.randn(2, frames, IN_DIM, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("name", SEQUENCE_HEADS.names())
@torch.inference_mode()
def test_equals_the_textbook(name: str, frames: int) -> None:
    head, x = random_head(name), features(frames)
    ours, plain = head(x), textbook(head, x)
    expected = textbook(head.double(), x.double())
    assert ours.shape == expected.shape == (2, frames, head.out_dim)
    assert expected.std() > 1e-2
    assert error(head(x.double()), expected) < 1e-7  # tables of positions are float32
    assert_rounds_like(plain, ours, expected)


@pytest.mark.parametrize("name", SEQUENCE_HEADS.names())
def test_gradients_equal_the_textbook(name: str) -> None:
    if name == "none":
        pytest.skip("has nothing to train")
    head, reference, x = random_head(name).double(), random_head(name).double(), features(60).double()
    torch.autograd.backward(head(x).square().mean())
    torch.autograd.backward(textbook(reference, x).square().mean())
    for (key, ours), theirs in zip(head.named_parameters(), reference.parameters(), strict=True):
        if ours.requires_grad:
            assert ours.grad is not None
            assert theirs.grad is not None
            assert error(ours.grad, theirs.grad) < 1e-7, key


def loop(decay: Tensor, value: Tensor, initial: Tensor) -> Tensor:
    states, state = [], initial
    for a, b in zip(decay.unbind(1), value.unbind(1), strict=True):
        state = a * state + b
        states.append(state)
    return torch.stack(states, dim=1)


def scan_inputs(frames: int, dim: int = 5, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(frames)
    return (
        torch.rand(batch, frames, dim, generator=generator, dtype=torch.float64),
        torch.randn(batch, frames, dim, generator=generator, dtype=torch.float64),
        torch.randn(batch, dim, generator=generator, dtype=torch.float64),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700))
def test_scans_equal_the_loop(frames: int) -> None:
    decay, value, initial = scan_inputs(frames)
    expected = loop(decay, value, initial)
    for states in (
        linear_scan(decay, value, initial),
        doubling_scan(decay, value, initial),
        blockwise_scan(decay, value, initial),
    ):
        torch.testing.assert_close(states, expected, rtol=0, atol=1e-12)
    backwards = chunked_scan(decay.flip(1), value.flip(1), initial, is_reversed=True).flip(1)
    torch.testing.assert_close(backwards, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 8, 24, 25, 53])
def test_gradient_of_the_scan(frames: int) -> None:
    inputs = [x.requires_grad_() for x in scan_inputs(frames, dim=2, batch=1)]
    assert torch.autograd.gradcheck(linear_scan, inputs)


@pytest.mark.parametrize("spread", [2.0, 20.0])
def test_mingru_is_exact_where_log_space_is_not(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, gate = (spread * torch.randn(2, 250, 64, generator=generator) for _ in range(2))
    exact = mingru_loop(hidden.double(), gate.double())
    error = (mingru_states(torch.cat([hidden, gate], -1)) - exact).abs().max()
    assert error <= 1e-5
    assert error < 0.1 * (mingru_log_space(hidden, gate) - exact).abs().max()


def test_open_and_shut_gates() -> None:
    """Decays that round to exactly 0 and 1 neither overflow nor lose the state."""
    hidden = torch.ones(1, 100, 1)
    gate = torch.full((1, 100, 1), -200.0)
    gate[:, 10] = 200.0
    states = mingru_states(torch.cat([hidden, gate], -1))[0, :, 0]
    assert (states[:10] == 0).all()
    assert (states[10:] == 1.5).all()


@pytest.mark.filterwarnings(
    "ignore:The tensor attributes self.gru._flat_weights"
)  # torch's own list of an nn.GRU's weights
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("causalgru", "mamba", "mingru") else pytest.param(name, marks=pytest.mark.long)
        for name in SEQUENCE_HEADS.names()
    ],
)
def test_export(name: str) -> None:
    """At one length; the scans as a few operations on the whole sequence, not one for each step."""
    head, x = random_head(name), features(300)
    program = torch.export.export(head, (x,))
    assert len(program.graph.nodes) < 400
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), head(x), rtol=1e-4, atol=1e-4)


def test_the_scan_exports_as_doubling() -> None:
    class Scan(torch.nn.Module):
        def forward(self, decay: Tensor, value: Tensor) -> Tensor:
            return linear_scan(decay, value)

    decay, value, _ = scan_inputs(300)
    program = torch.export.export(Scan(), (decay, value))
    assert len(program.graph.nodes) < 100
    torch.testing.assert_close(program.module()(decay, value), linear_scan(decay, value), rtol=0, atol=1e-12)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16], ids=str)
@torch.inference_mode()
def test_norm_in_half_precision(precision: torch.dtype) -> None:
    norm = RMSNorm(1024)
    for scale in (0.0, 1e-4, 1.0, 3000.0):
        x = torch.full((1, 1024), scale, dtype=precision)
        expected = torch.full((1, 1024), float(scale > 0))
        torch.testing.assert_close(norm(x).float(), expected, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(RMSNorm(1024).to(precision)(x).float(), expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in SEQUENCE_HEADS.names() if random_head(name).is_causal])
@torch.inference_mode()
def test_a_state_keeps_no_chunk_alive(name: str) -> None:
    head = random_head(name)
    assert isinstance(head, CausalHead)
    _, state = head.stream(features(250), None)
    for part in state:
        assert part.untyped_storage().nbytes() == part.numel() * part.element_size()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 130), st.sampled_from([1, 16, 50, 128]))
def test_selective_scan_in_any_chunks(frames: int, chunk: int) -> None:
    inputs = selective_inputs(frames)
    expected, last = selective_loop(*inputs)
    y, state = chunked_selective_scan(*inputs, chunk=chunk)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, last, rtol=1e-10, atol=1e-10)


def test_large_steps_have_finite_gradients() -> None:
    x, dt, rate, B, C, initial = (value.float() for value in selective_inputs(120))
    dt = (20 * dt).requires_grad_()
    y, _ = chunked_selective_scan(x, dt, 16 * rate, B, C, initial, chunk=50)
    torch.autograd.backward(y.sum())
    assert dt.grad is not None
    assert torch.isfinite(dt.grad).all()


@pytest.mark.skipif(not (torch.cuda.is_available() and has_kernels()), reason="needs a GPU and the package mamba_ssm")
def test_kernels_equal_the_plain_form() -> None:
    inputs = [value.float().cuda() for value in selective_inputs(250)]
    y, state = selective_scan(*inputs)
    expected, last = chunked_selective_scan(*inputs, chunk=50)
    torch.testing.assert_close(y, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(state, last, rtol=1e-3, atol=1e-3)


def selective_inputs(frames: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, dt, rate, B, C and the initial state, for two clips, three heads of four features and states of five."""
    generator = torch.Generator().manual_seed(frames)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return (
        draw(2, frames, 3, 4),
        draw(2, frames, 3).abs(),
        -draw(3).abs(),
        draw(2, frames, 5),
        draw(2, frames, 5),
        draw(2, 3, 4, 5),
    )


def selective_loop(x: Tensor, dt: Tensor, rate: Tensor, B: Tensor, C: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t] * rate)[..., None, None]
        state = decay * state + torch.einsum("bh,bhp,bn->bhpn", dt[:, t], x[:, t], B[:, t])
        outputs.append(torch.einsum("bhpn,bn->bhp", state, C[:, t]))
    return torch.stack(outputs, dim=1), state
