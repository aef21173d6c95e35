"""timm's networks on spectrograms: sizes, steps, published parameter counts, costs, and their fused copies."""

from __future__ import annotations

import copy
import csv
from functools import cache

import pytest
import torch
from rounding import assert_rounds_like
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import efficient_sed as es
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.checks import check_lengths
from efficient_sed.experiment.compose import compose_run
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.contracts import Positioned
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import BACKBONES

pytestmark = pytest.mark.slow
NAMES = [name for name in BACKBONES.names() if name.startswith(("convnext", "convformer", "fastvit"))]
PLAIN = ["convformer_s18", "convnext_tiny", "fastvit_sa24"]
FUSED = [
    name
    for name in NAMES
    if name.startswith("fastvit")
    or name in ("convnext_tiny_dcls", "convnext_tiny_frame", "convformer_s18", "convformer_s18_dcls_frame")
]


def create(name: str, num_classes: int = 5) -> SedModel:
    """A model whose branches and norms matter: as initialised, the scale of most branches is next to nothing."""
    torch.manual_seed(0)
    model = es.create_model(name, num_classes)
    for key, parameter in model.named_parameters():
        if "gamma" in key:
            nn.init.uniform_(parameter, 0.2, 0.8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


@cache
def on_meta(name: str, num_classes: int = 527) -> SedModel:
    with torch.device("meta"):
        return es.create_model(name, num_classes).eval()


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_how_many_were_seen() -> None:
    assert len(NAMES) == 12


@pytest.mark.parametrize(
    ("name", "num_classes", "expected"),
    [
        *(
            ("convnext_tiny", 527, 28_223_855),
            ("convnext_tiny_dcls", 527, 28_221_263),
            ("convnext_tiny", 1000, 28_587_592),
            ("convnext_tiny_dcls", 1000, 28_585_000),
        ),
        *(
            ("convformer_s18", 527, 25_797_847),
            ("convformer_s18_dcls", 527, 25_781_207),
            ("convformer_s18", 1000, 26_767_024),
            ("convformer_s18_dcls", 1000, 26_750_384),
        ),
        *(
            ("fastvit_sa24", 527, 21_064_015),
            ("fastvit_sa24_dcls", 527, 21_016_655),
            ("fastvit_sa24", 1000, 21_548_840),
            ("fastvit_sa24_dcls", 1000, 21_501_480),
        ),
    ],
)
def test_parameters(name: str, num_classes: int, expected: int) -> None:
    assert num_parameters(on_meta(name, num_classes)) == expected


@pytest.mark.parametrize("name", [f"{plain}{suffix}" for plain in PLAIN for suffix in ("", "_dcls")])
def test_published_parameters_are_those_of_1000_classes(name: str) -> None:
    """What is printed includes a classifier of ImageNet's 1000 classes, on the new stem.

    With AudioSet's 527 the models are smaller than that.
    """
    with (resource_folder("published") / "dcls_audioset.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["model"] == name.removesuffix("_dcls")
            and row["method"] == ("dcls_gauss" if "dcls" in name else "depthwise")
        ]
    (printed,) = (float(row["params_m"]) for row in rows)
    assert round(num_parameters(on_meta(name, 1000)) / 1e6, 1) == printed
    assert round(num_parameters(on_meta(name, 527)) / 1e6, 1) < printed


@pytest.mark.parametrize("name", NAMES)
def test_maps(name: str) -> None:
    """64 x 62 patches for 10 s as published, or 250 steps of 40 ms.

    ConvNeXt drops what does not fill a patch, the others round up.
    """
    model, sizes = on_meta(name), []
    for stage in model.backbone.stages()[:5]:
        stage.register_forward_hook(lambda *call: sizes.append(tuple(call[-1].shape[2:])))
    output = model(torch.empty(2, 1, 128, 1001, device="meta"))
    tagging = [(64, 62), (64, 62), (32, 31), *([(16, 15), (8, 7)] if "convnext" in name else [(16, 16), (8, 8)])]
    assert sizes == ([(16, 250), (16, 250), (8, 250), (4, 250), (2, 250)] if "frame" in name else tagging)
    assert output.frame_logits.shape == (2, 527, sizes[-1][1])
    assert output.clip_logits.shape == (2, 527)


@pytest.mark.parametrize("name", [f"{plain}{ending}" for plain in PLAIN for ending in ("", "_frame")])
@pytest.mark.parametrize("more", [0, 1, 127])
def test_the_grid_knows_the_steps(name: str, more: int) -> None:
    model = on_meta(name)
    frames = model.backbone.first_step_frames + more
    output = model(torch.empty(1, 1, 128, frames, device="meta"))
    assert output.frame_logits.shape[-1] == model.grid.num_frames((frames - 1) * 320) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_40_ms_or_one_patch_of_128_frames(name: str) -> None:
    assert on_meta(name).grid.hop_s == (0.04 if "frame" in name else 1.28)


@pytest.mark.parametrize(
    ("name", "frames"), [("convnext_tiny", 128), ("convformer_s18", 16), ("fastvit_sa24_frame", 4)]
)
def test_too_short_a_clip(name: str, frames: int) -> None:
    with pytest.raises(
        ValueError, match=rf"\(batch, 1, 128, frames\) with at least {frames} frames, got \(1, 1, 128, {frames - 1}\)"
    ):
        on_meta(name)(torch.empty(1, 1, 128, frames - 1, device="meta"))


@pytest.mark.parametrize(("key", "seconds"), [("data.clip_seconds", 1.2), ("benchmark.seconds", 1.0)])
def test_lengths_are_checked_before_a_training(key: str, seconds: float) -> None:
    config = compose_run(
        ["model=convnext_tiny", "train.augment.mel_jitter=false", "data.scene_seconds=10", f"{key}={seconds}"]
    )
    with pytest.raises(
        ConfigError, match=rf"^{key}={seconds} is not allowed: at least 1.27 s with backbone=convnext_tiny$"
    ):
        check_lengths(on_meta("convnext_tiny"), config)
    check_lengths(on_meta("convnext_tiny_frame"), config)


def test_wrong_number_of_bins() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 1, 64, 200\)"):
        on_meta("convnext_tiny")(torch.empty(1, 1, 64, 200, device="meta"))


@pytest.mark.parametrize("name", PLAIN)
def test_tagging_head_is_timms(name: str) -> None:
    """The clip's logits are those of timm's own pooling, norm and classifier with the same weights."""
    import timm

    model = copy.deepcopy(on_meta(name, 7)).to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in model.classifier.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    head = timm.create_model(name, in_chans=1, num_classes=7).head.eval()
    theirs, ours = (sorted(state.items()) for state in (head.state_dict(), model.classifier.state_dict()))
    rename = {"layers.weight": "fc.weight", "layers.bias": "fc.bias"}
    head.load_state_dict({rename.get(key, key.replace("layers.", "fc.")): value for key, value in ours})
    assert len(theirs) == len(ours)
    features = torch.randn(2, model.backbone.out_dim, 8, 7)
    with torch.inference_mode():
        expected, output = head(features), model.classifier(features.mean(2).transpose(1, 2))
    torch.testing.assert_close(output.clip_logits, expected, rtol=1e-5, atol=1e-5)
    assert output.frame_logits.shape == (2, 7, 7)


def test_with_a_head_the_classifier_is_the_usual_one() -> None:
    assert num_parameters(on_meta("convnext_tiny_frame+tf-64").classifier) == 2 * 65 * 527


def test_drop_path_reaches_the_blocks() -> None:
    with torch.device("meta"):
        rates = [
            module.drop_prob
            for module in BACKBONES.get("convnext_tiny")(drop_path=0.3).build().modules()
            if type(module).__name__ == "DropPath"
        ]
    assert (rates[0], rates[-1]) == (pytest.approx(0.3 / 17), pytest.approx(0.3))
    with pytest.raises(ConfigError, match=r"backbone.drop_path=1.0 is not allowed"):
        BACKBONES.get("convnext_tiny")(drop_path=1.0)


@pytest.mark.parametrize("name", FUSED)
@torch.inference_mode()
def test_fused_equals(name: str) -> None:
    model = create(name)
    fused = es.fuse(model)
    mel = torch.randn(1, 1, 128, model.backbone.first_step_frames + 60)
    for plain, ours, exact in zip(model(mel), fused(mel), model.double()(mel.double()), strict=True):
        assert_rounds_like(plain, ours, exact)
    assert not [module for module in fused.modules() if isinstance(module, Positioned)]
    assert not [module for module in fused.backbone.modules() if type(module) is nn.Conv2d]
    assert len([module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]) == (
        4 if "fastvit" in name else 0
    )  # before attention, not after a convolution


@torch.inference_mode()
def test_fused_equals_where_branches_cannot_merge() -> None:
    """The 3x3 branches too have become larger than timm's blocks know."""
    model = create("fastvit_sa24_frame")
    es.replace_depthwise(model, kernel_count=5, dilated_size=9, larger_than_map="crop")
    fused, mel = es.fuse(model), torch.randn(1, 1, 128, 30)
    for plain, ours, exact in zip(model(mel), fused(mel), model.double()(mel.double()), strict=True):
        assert_rounds_like(plain, ours, exact)


@pytest.mark.parametrize("name", ["convnext_tiny_dcls", "convformer_s18", "fastvit_sa24_dcls_frame"])
def test_macs_equal_torch(name: str) -> None:
    """What torch counts, less the products that build kernels, which do not depend on the clip."""
    model = create(name)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(model.frontend(torch.zeros(1, 48_000)))
    with torch.inference_mode(), FlopCounterMode(display=False) as construction:
        for module in model.modules():
            if isinstance(module, Positioned):
                module.kernel()  # type: ignore[attr-defined]
    frontend = 128 * 513 * 151
    assert (
        es.count_macs(model, 1.5).total == (counter.get_total_flops() - construction.get_total_flops()) / 2 - frontend
    )
    assert ("dcls" in name) == (construction.get_total_flops() > 0)


@pytest.mark.parametrize("name", ["convnext_tiny", "fastvit_sa24"])
def test_a_copy_is_independent(name: str) -> None:
    model = on_meta(f"{name}_dcls")
    copied = copy.deepcopy(model)
    assert not {id(parameter) for parameter in model.parameters()} & {
        id(parameter) for parameter in copied.parameters()
    }
    leaders = [
        module.leader for module in copied.modules() if isinstance(module, Positioned) and module.leader is not None
    ]  # type: ignore[attr-defined]
    assert {id(leader) for leader in leaders} <= {id(module) for module in copied.modules()}
