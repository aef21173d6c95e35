"""The CRNN of DCASE Task 4's baseline: its exact size by hand, its cost as published, its steps, and the gate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import efficient_sed as es
from efficient_sed.errors import ConfigError
from efficient_sed.frontier.published import read_published_models
from efficient_sed.models.backbones.crnn_glu import CHANNELS, CrnnGluConfig, GatedLinearUnit

NAME = "crnn_glu+gru-128"


def test_parameters_by_hand() -> None:
    """Convolutions, norms and gates; two bidirectional layers of GRU; two linear layers for ten classes."""
    pairs = list(zip((1, *CHANNELS), CHANNELS, strict=False))
    blocks = sum(9 * before * after + after + 2 * after + after * after + after for before, after in pairs)
    gru = sum(2 * (3 * 128 * (width + 128) + 6 * 128) for width in (128, 256))
    expected = blocks + gru + 2 * (256 * 10 + 10)
    model = es.create_model(NAME, num_classes=10)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected == 1_112_420
    assert next(read_published_models("dcase_task4")).complexity["params"] == expected


def test_cost_is_the_published() -> None:
    """930.902 M by THOP, which also counts norms and pooling, over 156 steps."""
    assert es.count_macs(es.create_model(NAME, num_classes=10), 10.0).total == pytest.approx(930.902e6, rel=0.015)


@torch.inference_mode()
def test_steps_of_ten_seconds() -> None:
    model = es.create_model(NAME, num_classes=10).eval()
    assert model(model.frontend(torch.randn(1, 160_000))).frame_logits.shape == (1, 10, 157)
    assert model.grid.hop_s == 0.064


def test_the_gate() -> None:
    gate, x = GatedLinearUnit(3), torch.randn(2, 3, 4, 5)
    linear = nn.Linear(3, 3)
    linear.load_state_dict({"weight": gate.linear.weight[:, :, 0, 0], "bias": gate.linear.bias})
    expected = linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) * torch.sigmoid(x)
    torch.testing.assert_close(gate(x), expected)


def test_options() -> None:
    with pytest.raises(ConfigError, match=r"^backbone\.dropout=1\.0 is not allowed: 0 to below 1$"):
        CrnnGluConfig(dropout=1.0)
