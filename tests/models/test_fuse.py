"""A fused copy gives what its model gives, for every registered part; a new part is tested by existing."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from rounding import allowed, error
from test_contract import CAUSAL, IN_DIM, RUN, create, mel_for, random_mel, run_every_part, small_head
from torch import nn

import efficient_sed as es
from efficient_sed.errors import CheckpointError
from efficient_sed.models.backbones.mobilenet_v3 import SqueezeExcitation
from efficient_sed.models.contracts import CausalHead
from efficient_sed.models.fuse import FusedConv2d, fuse_layers
from efficient_sed.registry import SEQUENCE_HEADS


@run_every_part
@torch.inference_mode()
def test_same_logits(backbone: str, head: str) -> None:
    model = create(backbone, head).eval()
    double, fused = copy.deepcopy(model).double(), es.fuse(model)
    mel = mel_for(model, 1, 37)
    expected = double(mel.double())
    for ours, exact in zip(es.fuse(double)(mel.double()), expected, strict=True):
        assert error(ours, exact) < 1e-9
    limit = 2 * max(map(allowed, model(mel), expected))  # either form may be so far from float64
    for frames in (100, 37, 213):  # the order in which tables must shrink and grow
        mel = mel_for(model, 2, frames)
        for ours, plain in zip(fused(mel), model(mel), strict=True):
            assert error(ours, plain) <= limit


@run_every_part
def test_the_model_stays_as_it_was(backbone: str, head: str) -> None:
    model = create(backbone, head).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    fused = es.fuse(model)
    with torch.inference_mode():
        fused(mel_for(model, 2, 37))
    assert model.training
    assert not fused.training
    assert (model.is_fused, fused.is_fused) == (False, True)
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert any(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    assert (fused.spec, fused.grid, fused.provenance) == (model.spec, model.grid, model.provenance)
    assert fused.sequence.is_causal == model.sequence.is_causal
    assert es.fuse(fused) is fused


def test_nothing_is_left_to_fold() -> None:
    fused = es.fuse(es.create_model("fmn04+tcn-64", num_classes=2))
    kinds = [type(module) for module in fused.modules()]
    assert nn.BatchNorm2d not in kinds
    assert nn.Conv2d not in kinds
    assert not [key for key in fused.state_dict() if key.endswith("weight_g")]
    assert kinds.count(FusedConv2d) == 46


@run_every_part
def test_it_costs_as_many_macs(backbone: str, head: str) -> None:
    model = create(backbone, head)
    assert es.count_macs(es.fuse(model), 1.0).by_part == es.count_macs(model, 1.0).by_part


@pytest.mark.parametrize("name", CAUSAL)
@torch.inference_mode()
def test_streams(name: str) -> None:
    torch.manual_seed(0)
    head = small_head(name).build(IN_DIM).eval().double()
    features = torch.randn(2, 60, IN_DIM, dtype=torch.float64)
    whole = head(features)
    fused = fuse_layers(copy.deepcopy(head))
    assert isinstance(fused, CausalHead)
    first, state = fused.stream(features[:, :25], None)
    second, _ = fused.stream(features[:, 25:], state)
    assert error(torch.cat([first, second], 1), whole) < 1e-9


@pytest.mark.parametrize("precision", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.long)], ids=str)
@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
@torch.inference_mode()
def test_half_precision(head: str, precision: torch.dtype) -> None:
    model = create("fmn04", head).eval()
    fused, mel = es.fuse(model), random_mel(2, 100)
    full = fused(mel).frame_logits
    with torch.autocast("cpu", precision):
        half = fused(mel).frame_logits.float()
    assert torch.isfinite(half).all()
    assert (half.sigmoid() - full.sigmoid()).abs().mean() < 0.05


def test_layers_that_do_not_join() -> None:
    """A convolution with reflecting borders, one whose activation comes before the norm, and one alone."""
    torch.manual_seed(0)
    convs = [
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 3, 3, padding=1),
        nn.Conv2d(3, 3, 1, bias=False),
    ]
    layers = nn.Sequential(
        convs[0], nn.BatchNorm2d(3), convs[1], nn.ReLU(), nn.BatchNorm2d(3), nn.Tanh(), convs[2]
    ).eval()
    for norm in (layers[1], layers[4]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    layers, x = layers.double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = layers(x)
        fused = fuse_layers(copy.deepcopy(layers))
        assert [type(layer) for layer in fused] == [
            nn.Conv2d,
            nn.BatchNorm2d,
            FusedConv2d,
            nn.BatchNorm2d,
            nn.Tanh,
            FusedConv2d,
        ]
        assert error(fused(x), expected) < 1e-9


def test_copies_after_use() -> None:
    fused, mel = es.fuse(create("fmn04", "tf")), random_mel(1, 37)
    with torch.inference_mode():
        expected = fused(mel)
        for other in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))):
            assert torch.equal(other(mel).frame_logits, expected.frame_logits)


def test_weights_loaded_after_use_count() -> None:
    before, after = (FusedConv2d(nn.Conv2d(4, 8, 1)).requires_grad_(False) for _ in range(2))
    x = torch.randn(1, 4, 5, 5)
    before(x)
    before.load_state_dict(after.state_dict())
    torch.testing.assert_close(before(x), after(x))


def test_saving_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"model\.safetensors: a fused model cannot be saved.*; save the model that was given to fuse\(\)$",
    ):
        es.save_model(es.fuse(es.create_model("fmn04", num_classes=2)), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_every_head_was_seen() -> None:
    assert {head for _, head in RUN} == set(SEQUENCE_HEADS.names())


def test_a_gate_goes_into_the_projection_behind_it_alone() -> None:
    """In one flat Sequential, where the convolution that took the gate over stands before another one."""
    torch.manual_seed(0)
    block = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        SqueezeExcitation(8),
        nn.Conv2d(8, 4, 1, bias=False),
        nn.BatchNorm2d(4),
    ]
    plain = (
        nn.Sequential(
            nn.Sequential(*block), nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 2, 1))
        )
        .eval()
        .double()
    )
    fused = fuse_layers(copy.deepcopy(plain))
    assert [type(layer) for layer in fused.children()] == [FusedConv2d] * 4
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    with torch.inference_mode():
        assert error(fused(x), plain(x)) < 1e-9
