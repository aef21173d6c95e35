"""ERANN: strides, shapes, its units by hand, its classifier, and fusing; on narrow networks."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from rounding import assert_rounds_like, error
from test_contract import CLASSES, mel_for
from torch import nn

import efficient_sed as es
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.models.backbones.erann import (
    ErannBlocks,
    ErannClassifier,
    ErannConfig,
    TimeFrequencyUnit,
    block_channels,
    time_strides,
)
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.sequence.identity import IdentityConfig
from efficient_sed.registry import BACKBONES

NARROW = [ErannConfig(width=1, time_factor=factor) for factor in (1, 2, 4, 8, 16)]
FRAMEWISE = [BACKBONES.get("erann1")(time_stride=stride) for stride in (8, 4)]


def narrow_model(config: BackboneConfig) -> SedModel:
    """As `test_contract.create`: a BatchNorm that has seen some input."""
    torch.manual_seed(0)
    model = SedModel(ModelSpec(config, IdentityConfig(), CLASSES))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(mel_for(model, 4, 2 * model.grid.stride))
    return model.eval()


@pytest.mark.parametrize("total", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_strides_follow_equation_2(total: int) -> None:
    strides = time_strides(total)
    assert math.prod(strides) == total
    assert list(strides) == sorted(strides, reverse=True)
    assert set(strides) <= ({2, 4} if total >= 16 else {1, 2})


@pytest.mark.parametrize(
    ("config", "steps"), [*zip(NARROW, (80, 40, 20, 10, 5), strict=True), *zip(FRAMEWISE, (160, 320), strict=True)]
)
@torch.inference_mode()
def test_maps_of_10_seconds(config: BackboneConfig, steps: int) -> None:
    """Table 3: 8 x 80, 8 x 40, 8 x 20 and 8 x 10 before pooling."""
    model = narrow_model(config)
    mel = model.frontend(torch.randn(1, 441_000, generator=torch.Generator().manual_seed(0)))
    assert isinstance(model.backbone, ErannBlocks)
    assert model.backbone.feature_map(mel).shape == (1, 128, 8, steps)
    assert model(mel).frame_logits.shape == (1, len(CLASSES), steps)
    assert model.grid.num_frames(441_000) == steps


def test_frame_wise_steps_last_31_or_63_ms() -> None:
    assert [round(1000 * narrow_model(config).grid.hop_s, 1) for config in FRAMEWISE] == [62.6, 31.3]


@pytest.mark.parametrize("config", [NARROW[2], *FRAMEWISE])
@torch.inference_mode()
def test_any_number_of_frames(config: BackboneConfig) -> None:
    """What fills up the last step changes no step before it but the last few."""
    model = narrow_model(config)
    for frames in (1, 37, 100, 1013):
        output = model(mel_for(model, 2, frames))
        assert output.frame_logits.shape == (2, len(CLASSES), math.ceil(frames / model.grid.stride))
        assert all(torch.isfinite(logits).all() for logits in output)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 2), (2, 4)])
@torch.inference_mode()
def test_a_unit_by_hand(stride: tuple[int, int]) -> None:
    torch.manual_seed(0)
    unit = TimeFrequencyUnit(3, 3 if stride == (1, 1) else 6, stride, is_first=False).eval()
    for module in unit.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 2)
    norm, _, conv, norm2, _, conv2 = unit.branch
    x = torch.randn(2, 3, 8, 16)
    kernels = {1: (3, 3), 2: (3, 3), 4: (6, 5)}
    assert conv.kernel_size == (kernels[stride[0]][0], kernels[stride[1]][0])  # type: ignore[union-attr]
    assert conv2.kernel_size == (kernels[stride[0]][1], kernels[stride[1]][1])  # type: ignore[union-attr]
    leaky = nn.functional.leaky_relu
    hidden = nn.functional.conv2d(leaky(norm(x), 0.01), conv.weight, stride=stride, padding=1)  # type: ignore[arg-type]
    output = nn.functional.conv2d(
        leaky(norm2(hidden), 0.01), conv2.weight, padding=[size // 2 for size in conv2.kernel_size]
    )  # type: ignore[arg-type,union-attr]
    shortcut = (
        x
        if stride == (1, 1)
        else unit.shortcut[2](
            x[:, :, :: stride[0], :: stride[1]]
            .movedim(1, 3)
            .matmul(unit.shortcut[1].weight[:, :, 0, 0].T)
            .movedim(3, 1)
        )
    )  # type: ignore[index,union-attr]
    torch.testing.assert_close(unit(x), output + shortcut)
    assert not [
        name
        for name, _ in unit.named_parameters()
        if isinstance(unit.get_submodule(name.rpartition(".")[0]), nn.Conv2d) and name.endswith("bias")
    ]


def test_the_input_is_standardised_bin_by_bin() -> None:
    """By the first BatchNorm, whatever the scale of the spectrogram; the first unit does not rectify it."""
    model = narrow_model(ErannConfig(width=1))
    bins = 50 * torch.randn(128)[:, None] + (0.5 + torch.rand(128, 1)) * torch.randn(4, 1, 128, 130)
    seen = []
    model.backbone.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[index,union-attr]
    with torch.no_grad():
        model.train()(bins)
    (seen_first,) = seen
    assert seen_first.shape == (4, 1, 128, 192)
    torch.testing.assert_close(seen_first[..., :130].mean((0, 1, 3)), torch.zeros(128), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen_first[..., :130].var((0, 1, 3)), torch.ones(128), atol=0.05, rtol=0)
    assert not seen_first[..., 130:].any()
    assert isinstance(model.backbone.blocks[0][0].branch[1], nn.Identity)  # type: ignore[index,union-attr]


@torch.inference_mode()
def test_a_step_is_scored_as_a_clip_of_that_step() -> None:
    torch.manual_seed(0)
    classifier, features = ErannClassifier(16, 5).eval(), torch.randn(2, 7, 16)
    frames, clip = classifier(features)
    pooled = features.mean(1) + features.max(1).values
    fc1, _, fc2 = classifier.layers
    torch.testing.assert_close(clip, fc2(nn.functional.leaky_relu(fc1(pooled), 0.01)))
    for step in range(7):
        torch.testing.assert_close(frames[:, :, step], classifier(features[:, step : step + 1]).clip_logits)


def test_a_head_brings_the_usual_classifier() -> None:
    with torch.device("meta"):
        model = es.create_model("erann4+gru-16", num_classes=3)
    assert type(model.classifier).__name__ == "LinearClassifier"
    assert (model.backbone.out_dim, model.grid.stride) == (512, 8)
    assert block_channels(4) == [32, 64, 128, 256, 512]


@pytest.mark.parametrize("config", [NARROW[2], NARROW[1], FRAMEWISE[0]])
@torch.inference_mode()
def test_fused(config: BackboneConfig) -> None:
    """The BatchNorm behind a convolution goes into it, with the activation.

    Those before the first convolution of a unit stay.
    """
    model = narrow_model(config)
    double, fused, mel = copy.deepcopy(model).double(), es.fuse(model), mel_for(model, 3, 213)
    for plain, ours, merged, exact in zip(
        model(mel), fused(mel), es.fuse(double)(mel.double()), double(mel.double()), strict=True
    ):
        assert_rounds_like(plain, ours, exact)
        assert error(merged, exact) < 1e-9
    kinds = [type(module) for module in fused.backbone.modules()]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.BatchNorm2d), kinds.count(nn.LeakyReLU)) == (0, 1 + 20, 19)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["backbone=erann", "backbone.time_factor=3"], "backbone.time_factor=3 is not allowed: one of 1, 2, 4, 8, 16"),
        (["backbone=erann", "backbone.width=0"], "backbone.width=0 is not allowed: 1 or more"),
        (["backbone=erann5", "backbone.time_stride=16"], "backbone.time_stride=16 is not allowed: one of 8, 4"),
        (
            ["backbone=erann5", "backbone.width=4"],
            "unknown key backbone.width; the chosen backbone has no such key (backbone=erann has it)",
        ),
        (["model=erann-8x4-7"], "'erann-8x4-7' is not a model name: no system 'erann-8x4-7'; did you mean 'erann-8x4-"),
        (["backbone=erann1"], "train.augment.mel_jitter=true is not allowed: false with backbone=erann1"),
    ],
)
def test_bad_inputs(typed: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_run(typed)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_wrong_spectrogram_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^erann takes spectrograms of shape \(batch, 1, 128, frames\), got \(2, 1, 40, 100\)$"
    ):
        ErannBlocks(1, 8)(torch.zeros(2, 1, 40, 100))
