"""Depthwise convolutions with learned positions, against the package's own kernel and plain convolutions."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from DCLS.construct.modules import ConstructKernel2d
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import efficient_sed as es
from efficient_sed.config.training import TrainConfig
from efficient_sed.errors import CheckpointError, ConfigError, MissingDependencyError
from efficient_sed.models.dcls_layer import SpacedConv2d, dense_kernel
from efficient_sed.registry import BACKBONES
from efficient_sed.training.optim import build_optimizer, parameter_groups

VERSIONS = ("v0", "v1", "max", "gauss")


def layers(module: nn.Module) -> list[SpacedConv2d]:
    return [layer for layer in module.modules() if isinstance(layer, SpacedConv2d)]


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 4), count=st.integers(1, 9), size=st.sampled_from([3, 7, 23]), seed=st.integers(0, 1000))
def test_the_kernel_is_the_packages(version: str, channels: int, count: int, size: int, seed: int) -> None:
    """Its v1, max and gauss take the first position along time."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(channels, 1, count, generator=generator, dtype=torch.float64)
    positions = (size // 3 * torch.randn(2, channels, 1, count, generator=generator, dtype=torch.float64)).clamp(
        -(size // 2), size // 2
    )
    deviations = (
        torch.randn(2, channels, 1, count, generator=generator, dtype=torch.float64)
        if version in ("max", "gauss")
        else None
    )
    theirs = ConstructKernel2d(channels, channels, channels, count, (size, size), version)
    expected = theirs(
        weight, positions if version == "v0" else positions.flip(0), None if deviations is None else deviations.flip(0)
    )
    torch.testing.assert_close(
        dense_kernel(weight, positions, deviations, (size, size), version), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(("kernel", "stride"), [(7, (1, 1)), (5, (2, 1)), (3, (2, 2))])
@torch.no_grad()
def test_a_plain_convolution_on_the_integer_grid(version: str, kernel: int, stride: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6)
    layer = SpacedConv2d(conv, kernel**2, (11, 9), version)
    rows, columns = torch.meshgrid(
        torch.arange(kernel) - kernel // 2, torch.arange(kernel) - kernel // 2, indexing="ij"
    )
    layer.P.copy_(torch.stack([rows.flatten(), columns.flatten()])[:, None, None].expand_as(layer.P))
    layer.weight.copy_(conv.weight.flatten(2))
    layer.bias.copy_(conv.bias)
    x = torch.randn(2, 6, 17, 31)
    torch.testing.assert_close(layer(x), conv(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.fused()(x), conv(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_kernel_holds_denormal_numbers(version: str) -> None:
    """They would make a convolution ten times as slow."""
    layer = SpacedConv2d(nn.Conv2d(8, 8, 7, padding=3, groups=8), 26, (23, 23), version)
    magnitude = layer.kernel().abs()
    assert not ((magnitude > 0) & (magnitude < torch.finfo(torch.float32).tiny)).any()
    assert (magnitude > 0).any()


@torch.no_grad()
def test_positions_are_frequency_and_time() -> None:
    """One element, a bin above and three frames before the middle."""
    layer = SpacedConv2d(nn.Conv2d(1, 1, 3, padding=1, bias=False), 1, (5, 9), "v0")
    layer.P.copy_(torch.tensor([1.0, -3.0]).view(2, 1, 1, 1))
    layer.weight.fill_(1.0)
    assert layer.kernel().nonzero().tolist() == [[0, 0, 3, 1]]


@pytest.mark.parametrize("name", ["fmn04", "crnn_dws", "convnext_tiny"])
def test_shapes_and_strides_stay(name: str) -> None:
    with torch.device("meta"):
        model = es.create_model(name, num_classes=3).eval()
        before = model(torch.empty(2, 1, model.frontend.mel_bins, 301))
        strides = [conv.stride for conv in model.modules() if isinstance(conv, nn.Conv2d) and conv.groups > 1]
        assert es.replace_depthwise(model, larger_than_map="crop") is model
        after = model(torch.empty(2, 1, model.frontend.mel_bins, 301))
    assert [output.shape for output in after] == [output.shape for output in before]
    assert [layer.stride for layer in layers(model)] == strides
    assert not [
        conv for conv in model.backbone.modules() if isinstance(conv, nn.Conv2d) and conv.groups == conv.in_channels > 1
    ]


def test_kernel_sizes_are_selected() -> None:
    with torch.device("meta"):
        model = es.replace_depthwise(
            es.create_model("fmn04", num_classes=3), dilated_size=9, kernel_sizes=(5,), larger_than_map="crop"
        )
    kept = [conv for conv in model.modules() if isinstance(conv, nn.Conv2d) and conv.groups > 1]
    assert {conv.kernel_size for conv in kept} == {(3, 3)}
    assert (len(kept), len(layers(model))) == (9, 6)


def test_precision_device_and_mode_stay() -> None:
    model = es.replace_depthwise(
        es.create_model("fmn04", num_classes=3).double().eval(), dilated_size=9, larger_than_map="crop"
    )
    assert {parameter.dtype for layer in layers(model) for parameter in layer.parameters()} == {torch.float64}
    assert not any(layer.training for layer in layers(model))
    assert model(torch.randn(1, 1, 128, 20).double()).frame_logits.dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "num_owners", "num_layers"),
    [
        ("convnext_tiny_dcls", 4, 18),
        ("convformer_s18_dcls", 4, 18),
        ("fastvit_sa24_dcls", 4, 25),
        ("fmn10_dcls", 15, 15),
    ],
)
def test_a_stage_shares_positions(name: str, num_owners: int, num_layers: int) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get(name)().build()
    owners = [layer for layer in layers(backbone) if layer.leader is None]
    assert (len(owners), len(layers(backbone))) == (num_owners, num_layers)
    names = [key for key, _ in backbone.named_parameters() if key.endswith((".P", ".SIG"))]
    assert len(names) == 2 * num_owners
    assert names == [key for key in backbone.state_dict() if key.endswith((".P", ".SIG"))]
    for stage in backbone.stages():
        assert len([layer for layer in layers(stage) if layer.leader is None]) <= 1


def test_a_shared_position_moves_every_layer() -> None:
    backbone = BACKBONES.get("convnext_tiny_dcls")().build()
    first, second = layers(backbone)[:2]
    assert second.leader is first
    before = second.kernel()
    with torch.no_grad():
        first.P.add_(0.5)
    assert (second.kernel() - before).abs().max() > 1e-3


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded_strictly(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(0)
    model = es.create_model("fmn04_dcls+gru-16", num_classes=3).eval()
    es.save_model(model, tmp_path / "model.safetensors", half=half)
    again = es.load_model(str(tmp_path / "model.safetensors"))
    assert again.spec == model.spec
    assert again.state_dict().keys() == model.state_dict().keys()
    mel = torch.randn(1, 1, 128, 40)
    with torch.inference_mode():
        torch.testing.assert_close(again(mel).frame_logits, model(mel).frame_logits, rtol=0, atol=1e-2 if half else 0)


def test_shared_parameters_are_saved_once(tmp_path: Path) -> None:
    model = es.create_model("fastvit_sa24_dcls", num_classes=3)
    es.save_model(model, tmp_path / "model.safetensors", half=True)
    numbers = sum(value.numel() for value in model.state_dict().values())
    assert (tmp_path / "model.safetensors").stat().st_size == pytest.approx(2 * numbers, rel=0.01)
    again = es.load_model(str(tmp_path / "model.safetensors"))
    assert sum(parameter.numel() for parameter in again.parameters()) == sum(
        parameter.numel() for parameter in model.parameters()
    )


@pytest.mark.parametrize("is_given_whole", [True, False])
def test_altered_models_are_not_saved(is_given_whole: bool, tmp_path: Path) -> None:
    model = es.create_model("fmn04", num_classes=3)
    es.replace_depthwise(model if is_given_whole else model.backbone, dilated_size=9, larger_than_map="crop")
    with pytest.raises(CheckpointError, match=r"layers were replaced cannot be saved.*such as fmn10_dcls"):
        es.save_model(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_positions_have_a_rate_of_their_own() -> None:
    with torch.device("meta"):
        model = es.create_model("convnext_tiny_dcls", num_classes=3)
    for ratio in (5.0, 0.5):
        groups = {
            group["name"]: group
            for group in parameter_groups(
                model, TrainConfig(lr_backbone=4e-3, layer_decay=1.0, weight_decay=0.05, lr_positions_ratio=ratio)
            )
        }
        positions = [group for name, group in groups.items() if name.endswith(".positions")]
        assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in positions] == [
            (4e-3 * ratio, 0.0, 2)
        ] * 4
        assert "weight_decay" not in groups["backbone.1"]
    grouped = [id(parameter) for group in groups.values() for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


def test_a_step_moves_positions_and_keeps_them_in_the_kernel() -> None:
    torch.manual_seed(0)
    model = es.create_model("fmn04_dcls", num_classes=3)
    layer = layers(model)[3]
    before = layer.P.detach().clone()
    optimizer, _ = build_optimizer(
        model,
        TrainConfig(lr_positions_ratio=1e4, layer_decay=1.0, warmup_steps=0, lr_backbone=3e-3, weight_decay=0.1),
        10,
    )
    model(torch.randn(2, 1, 128, 40)).frame_logits.square().mean().backward()
    optimizer.step()
    assert (layer.P - before).abs().max() > 1
    assert layer.P.abs().max() == 11
    for other in layers(model):
        height, width = other.dilated_kernel_size
        assert (other.P[0].abs().max(), other.P[1].abs().max()) <= (height // 2, width // 2)


def test_kernels_of_framewise_models_end_with_the_map() -> None:
    """64 to 2 bins in fmn, 16 to 2 in a vision network."""
    with torch.device("meta"):
        fmn, vision = (layers(BACKBONES.get(name)().build()) for name in ("fmn10_dcls", "convnext_tiny_dcls_frame"))
    assert [layer.dilated_kernel_size for layer in fmn] == [(23, 23)] * 6 + [(15, 23)] * 2 + [(7, 23)] * 3 + [
        (3, 23)
    ] * 4
    assert [layer.dilated_kernel_size for layer in vision] == [(23, 23)] * 3 + [(15, 23)] * 3 + [(7, 23)] * 9 + [
        (3, 23)
    ] * 3


BAD = [
    (
        {},
        r"dilated_size=23 is larger than the map of 9 of 15 layers, first features.7.block.1.0 \(8 x 251\): .*; "
        r"give 3 or less, or larger_than_map='crop'",
    ),
    ({"dilated_size": 8}, r"dilated_size=8 is not allowed: an odd number, so that shapes stay, from 3 to 255"),
    ({"dilated_size": 257}, r"dilated_size=257 is not allowed: an odd number, so that shapes stay, from 3 to 255"),
    ({"kernel_count": 0}, r"kernel_count=0 is not allowed: 1 to 529"),
    ({"dilated_size": 5, "kernel_count": 26}, r"kernel_count=26 is not allowed: 1 to 25, the places of dilated_size=5"),
    ({"version": "cubic"}, r"version=cubic is not allowed: v0, v1, max, gauss"),
    ({"larger_than_map": "ignore"}, r"larger_than_map=ignore is not allowed: error, crop, keep"),
    ({"kernel_sizes": (7,)}, r"nothing to replace: FrameMobileNet has no depthwise convolution with a kernel of 7"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[str(options) for options, _ in BAD])
def test_refused(options: dict[str, object], message: str) -> None:
    with torch.device("meta"):
        model = es.create_model("fmn04", num_classes=3)
    keys = list(model.state_dict())
    with pytest.raises(ConfigError, match=message):
        es.replace_depthwise(model, **options)  # type: ignore[arg-type]
    assert list(model.state_dict()) == keys
    assert not model.backbone.is_altered


def test_refused_in_a_configuration() -> None:
    with pytest.raises(ConfigError, match=r"backbone.dilated_size=22 is not allowed"):
        BACKBONES.get("convnext_tiny_dcls")(dilated_size=22)
    with pytest.raises(ConfigError, match=r"train.lr_positions_ratio=-1.0 is not allowed"):
        TrainConfig(lr_positions_ratio=-1.0)


def test_a_fused_or_replaced_model_has_nothing_to_replace() -> None:
    model = es.create_model("fmn04", num_classes=3)
    for finished in (es.fuse(model), es.replace_depthwise(model, dilated_size=9, larger_than_map="crop")):
        with pytest.raises(ConfigError, match="nothing to replace"):
            es.replace_depthwise(finished, dilated_size=9)
    with pytest.raises(ConfigError, match="have learned positions already"):
        es.replace_depthwise(model)
    with pytest.raises(
        ConfigError, match="replace_depthwise takes a model of this package, or its backbone, not a Linear"
    ):
        es.replace_depthwise(nn.Linear(1, 1))  # type: ignore[type-var]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "DCLS" else True)
    with pytest.raises(MissingDependencyError, match=r"pip install 'efficient-sed\[dcls\]'"):
        es.create_model("fmn04_dcls", num_classes=3)


def test_the_package_does_not_touch_the_log(caplog: pytest.LogCaptureFixture) -> None:
    handlers, level = logging.getLogger().handlers[:], logging.root.manager.disable
    SpacedConv2d(nn.Conv2d(4, 4, 3, padding=1, groups=4), 4, (5, 5), "gauss")
    assert caplog.records == []
    assert (logging.getLogger().handlers, logging.root.manager.disable) == (handlers, level)
