import multiprocessing

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from efficient_sed.models import depthwise
from efficient_sed.models.depthwise import MIN_CHANNELS, conv2d, weight_gradient


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 70),
    height=st.integers(1, 9),
    width=st.integers(1, 23),
    kernel=st.sampled_from([3, 5]),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_the_weight_gradient_is_that_of_the_definition(
    batch: int, channels: int, height: int, width: int, kernel: int, stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    padding = (max(padding[0], -(-(kernel - height) // 2)), max(padding[1], -(-(kernel - width) // 2)))
    x = torch.randn(batch, channels, height, width, dtype=torch.float64)
    weight = torch.randn(channels, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    output = F.conv2d(x, weight, None, stride, padding, groups=channels)
    gradient = torch.randn_like(output)
    (expected,) = torch.autograd.grad(output, weight, gradient)
    format32 = {"dtype": torch.float32, "memory_format": torch.channels_last}
    found = weight_gradient(x.to(**format32), gradient.to(**format32), kernel, stride, padding)
    scale = F.conv2d(x.abs(), weight.detach().abs(), None, stride, padding, groups=channels).sum() / channels
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6 * float(1 + scale))


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("needs_input", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_gradients_of_a_layer_equal_those_of_torch(has_bias: bool, needs_input: bool, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        channels = MIN_CHANNELS + 8
        x = torch.randn(3, channels, 7, 50)  # NCHW: any order may come in
        weight, bias = torch.randn(channels, 1, 5, 5), torch.randn(channels) if has_bias else None
        grads = []
        for function in (conv2d, lambda *args: F.conv2d(*args[:5], groups=args[5])):
            inputs = [
                None if tensor is None else tensor.clone().requires_grad_(tensor is not x or needs_input)
                for tensor in (x, weight, bias)
            ]
            output = function(*inputs, (2, 1), (2, 2), channels)
            (output.square().sum() / 1000).backward()
            grads.append([None if tensor is None else tensor.grad for tensor in inputs])
        assert (grads[0][0] is None) == (not needs_input)
        for ours, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(before)


def _gradient_in_two_threads() -> float:
    torch.set_num_threads(2)
    x = torch.ones(2, MIN_CHANNELS, 8, 8).contiguous(memory_format=torch.channels_last)
    return float(weight_gradient(x, x, 3, (1, 1), (1, 1))[0, 0, 1, 1])


def test_a_forked_process_has_threads_of_its_own() -> None:
    before = torch.get_num_threads()
    try:
        expected = _gradient_in_two_threads()
        fork = multiprocessing.get_context("fork")
        results, sender = fork.Pipe(duplex=False)
        child = fork.Process(target=lambda: sender.send(_gradient_in_two_threads()))
        child.start()
        try:
            assert results.poll(60)
            assert results.recv() == expected == 128
        finally:
            child.kill()  # SIGTERM may have a handler of this process, which pytest or Lightning set
            child.join()
    finally:
        torch.set_num_threads(before)


def test_what_the_fast_way_is_not_for_goes_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the fast way was taken")

    monkeypatch.setattr(depthwise._DepthwiseConv2d, "apply", refuse)
    channels = MIN_CHANNELS
    x, weight = torch.randn(1, channels, 8, 8), torch.randn(channels, 1, 3, 3, requires_grad=True)
    with pytest.raises(AssertionError):
        conv2d(x, weight, None, (1, 1), (1, 1), channels)
    conv2d(x, weight.detach(), None, (1, 1), (1, 1), channels)
    conv2d(x.double(), weight.double(), None, (1, 1), (1, 1), channels)
    conv2d(x, torch.randn(channels, 1, 7, 7, requires_grad=True), None, (1, 1), (3, 3), channels)
    conv2d(x, torch.randn(channels, channels, 3, 3, requires_grad=True), None, (1, 1), (1, 1), 1)
    with torch.no_grad():
        conv2d(x, weight, None, (1, 1), (1, 1), channels)
    with torch.autocast("cpu", torch.bfloat16):
        conv2d(x, weight, None, (1, 1), (1, 1), channels)
