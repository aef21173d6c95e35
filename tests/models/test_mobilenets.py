"""MobileNets of EfficientAT: sizes and costs as published, dynamic layers by their equations, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rounding import error
from torch import Tensor, nn
from torch.nn import functional as F

import efficient_sed as es
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.models.backbones._dynamic_layers import Context, DynamicActivation, DynamicConv2d
from efficient_sed.models.backbones.dymn import DynamicBlock
from efficient_sed.models.backbones.mobilenet_v3 import LARGE, TAGGING
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.models.weights.initial import load_initial
from efficient_sed.registry import BACKBONES

PUBLISHED = {  # README of EfficientAT: parameters in millions, multiply-accumulates of 10 s in billions
    "mn04": ("0.98", "0.11"), "mn05": ("1.43", "0.16"), "mn10": ("4.88", "0.54"), "mn20": ("17.91", "2.06"),
    "mn30": ("39.09", "4.55"), "mn40": ("68.43", "8.03"), "dymn04": ("1.97", "0.12"), "dymn10": ("10.57", "0.58"),
    "dymn20": ("40.02", "2.22"),
}  # fmt: skip
STEPS = 32  # of 10 s


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_size_and_cost(name: str) -> None:
    """Sizes of the dynamic ones count BatchNorm's statistics. Their classifier runs once; here on each step, too."""
    card = next(card for card in list_cards().values() if card.architecture == name and card.task == "tagging")
    with torch.device("meta"):
        model = es.create_model(name, num_classes=527)
    statistics = sum(value.numel() for key, value in model.named_buffers() if "running_" in key)
    size = card.params + (statistics if name.startswith("dymn") else 0)
    classifier = sum(layer.weight.numel() for layer in model.classifier.modules() if isinstance(layer, nn.Linear))
    assert (f"{size / 1e6:.2f}", f"{(card.macs - STEPS * classifier) / 1e9:.2f}") == PUBLISHED[name]


def context_for(batch: int, size: int, channels: int, shape: tuple[int, int]) -> Context:
    return Context(
        torch.randn(batch, size), torch.randn(batch, channels, shape[0], 1), torch.randn(batch, channels, 1, shape[1])
    )


@pytest.mark.parametrize(("kernel", "groups", "stride"), [(1, 1, (1, 1)), (3, 6, (1, 1)), (5, 6, (2, 1))])
def test_a_mixture_of_kernels(kernel: int, groups: int, stride: tuple[int, int]) -> None:
    """Equations 5 and 6, clip by clip."""
    layer = DynamicConv2d(6, 6 if groups > 1 else 9, kernel, 4, stride, groups, temperature=2.5)
    x, context = torch.randn(3, 6, 7, 10), context_for(3, 4, 6, (7, 10))
    kernels = layer.weight.view(4, *layer.shape)
    for clip, output in enumerate(layer(x, context)):
        shares = F.softmax(layer.residuals(context.vector[clip]) / 2.5, 0)
        mixed = sum((share * one for share, one in zip(shares, kernels, strict=True)), torch.zeros(layer.shape))
        expected = F.conv2d(x[clip : clip + 1], mixed, None, stride, kernel // 2, groups=groups)[0]
        assert error(output, expected) < 1e-5


def test_the_larger_of_two_lines() -> None:
    """Equation 4, channel by channel."""
    layer = DynamicActivation(3, 4)
    x, context = torch.randn(2, 3, 5, 6), context_for(2, 4, 3, (5, 6))
    output = layer(x, context)
    theta = (2 * torch.sigmoid(layer.coef_net(context.vector)) - 1).view(2, 3, 4)
    for clip in range(2):
        for channel in range(3):
            first_slope, second_slope, first_shift, second_shift = theta[clip, channel]
            value = x[clip, channel]
            first = value * (1 + first_slope) + first_shift / 2
            expected = torch.maximum(first, value * second_slope + second_shift / 2)
            assert error(output[clip, channel], expected) < 1e-5


@torch.inference_mode()
def test_a_block_by_hand() -> None:
    """Section III, with the means and gates written out; stride 2 in frequency alone."""
    block = DynamicBlock(LARGE[10], 0.1, 1.0).double().eval()
    x = torch.randn(2, 8, 9, 12, dtype=torch.float64)
    generator = block.context_gen
    rows = torch.cat([x.mean(3), x.mean(2)], 2)[..., None]
    rows = F.hardswish(generator.joint_norm(generator.joint_conv(rows)))
    padded = F.pad(rows[:, :, :9], (0, 0, 1, 1))
    pooled = torch.stack([padded[:, :, start : start + 3].mean(2) for start in range(0, 9, 2)], 2)
    gate_f = torch.sigmoid(generator.conv_f(pooled))
    gate_t = torch.sigmoid(generator.conv_t(rows[:, :, 9:].transpose(2, 3)))
    context = generator(x)
    hidden = F.hardswish(block.exp_norm(block.exp_conv(x, context)))
    hidden = block.depth_act(block.depth_norm(block.depth_conv(hidden, context)), context)
    expected = block.proj_norm(block.proj_conv(hidden * gate_f * gate_t, context))
    assert error(context.vector, rows.mean((2, 3))) < 1e-9
    assert error(block(x), expected) < 1e-9


def released(name: str) -> tuple[es.SedModel, dict[str, Tensor]]:
    """A model for 527 classes, and its weights in the layout of EfficientAT's files."""
    torch.manual_seed(3)
    model = settle_norms(es.create_model(name, num_classes=527)).eval()
    names = {"classifier.layers.0": "classifier.2", "classifier.layers.3": "classifier.5", "backbone.": ""}
    state = {}
    for own, value in model.state_dict().items():
        key = own.replace(".fc1.", ".conc_se_layers.0.fc1.").replace(".fc2.", ".conc_se_layers.0.fc2.")
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[key] = value
    return model, state


@pytest.mark.parametrize("name", ["mn01", "dymn04"])
@torch.inference_mode()
def test_a_released_file(name: str, tmp_path: Path) -> None:
    model, state = released(name)
    path = tmp_path / f"{name}_as.pt"
    torch.save(state, path)
    loaded, mel = es.load_model(name, path), torch.randn(1, 1, 128, 200)
    assert torch.equal(loaded(mel).clip_logits, model(mel).clip_logits)
    for backbone in (name, f"f{name}"):
        config = BACKBONES.get(backbone)(init=str(path))
        network = config.build()
        load_initial(network, config)
        assert all(torch.equal(value, model.backbone.state_dict()[key]) for key, value in network.state_dict().items())
    other = BACKBONES.get("fmn04")(init=str(path))
    with pytest.raises(CheckpointError, match=f"holds f?{name}, the run's backbone is fmn04"):
        load_initial(other.build(), other)


def test_layout_of_released_files() -> None:
    """Names and shapes of the first dynamic block in EfficientAT's files."""
    _, state = released("dymn10")
    block = {key.removeprefix("layers.1."): list(value.shape) for key, value in state.items() if "layers.1." in key}
    assert (block["exp_conv.weight"], block["depth_conv.weight"]) == ([1, 1, 4, 64 * 16], [1, 1, 4, 64 * 9])
    assert (block["exp_conv.residuals.0.weight"], block["proj_conv.residuals.0.bias"]) == ([4, 32], [4])
    assert (block["depth_act.coef_net.0.weight"], block["depth_act.lambdas"]) == ([256, 32], [4])
    assert (block["context_gen.joint_conv.weight"], block["context_gen.conv_t.bias"]) == ([32, 16, 1, 1], [64])
    assert {"in_c.0.weight", "out_c.1.running_var", "classifier.2.weight", "classifier.5.bias"} <= state.keys()


def test_strides_of_tagging() -> None:
    assert [block.stride_time for block in TAGGING].count(2) == 4
    assert (
        es.create_model("dymn04", num_classes=2).grid.hop_s == es.create_model("mn01", num_classes=2).grid.hop_s == 0.32
    )


def test_bad_temperature() -> None:
    with pytest.raises(ConfigError, match=r"^backbone\.temperature=0 is not allowed: above 0$"):
        BACKBONES.get("dymn04")(temperature=0)
