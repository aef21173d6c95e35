"""MACs against published figures, torch's own counter and formulas by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import efficient_sed as es
from efficient_sed.benchmark.macs import PARTS
from efficient_sed.errors import ConfigError
from efficient_sed.models.sequence import mamba
from efficient_sed.registry import SEQUENCE_HEADS


@pytest.mark.parametrize(("name", "mega", "digits"), [("fmn04", 181.1, 1), ("fmn06", 376.3, 1), ("fmn10", 947.37, 2), ("fmn20", 3624.2, 1), ("fmn30", 8030.5, 1)])
def test_backbones(name: str, mega: float, digits: int) -> None:
    assert round(es.count_macs(es.create_model(name, num_classes=2)).by_part["backbone"] / 1e6, digits) == mega


@pytest.mark.parametrize(
    ("head", "mega"),
    [
        ("", 1055.08),
        *(("+tf-128", 1123.3), ("+tf-256", 1495.8), ("+tf-512", 2830.6), ("+tf-1024", 7859.6)),
        *(("+gru-128", 1258.7), ("+gru-256", 1766.7), ("+gru-512", 3372.4), ("+gru-1024", 8943.2)),
        *(("+attn-128", 1057.7), ("+attn-256", 1233.6), ("+attn-512", 1782.0), ("+attn-1024", 3665.3)),
        *(("+tcn-128", 1238.2), ("+tcn-256", 2020.6), ("+tcn-512", 5059.9), ("+tcn-1024", 17036.7)),
        *(("+hybrid-128", 1171.9), ("+hybrid-256", 1691.4), ("+hybrid-512", 3615.0), ("+hybrid-1024", 11001.2)),
        *(("+mamba-128", 1067.3), ("+mamba-256", 1285.3), ("+mamba-512", 2018.3), ("+mamba-1024", 4670.0)),
    ],
)
def test_systems_of_447_classes(head: str, mega: float) -> None:
    report = es.count_macs(es.create_model(f"fmn10{head}", num_classes=447), seconds=10.0)
    assert round(report.total / 1e6, 1 if head else 2) == mega
    assert report.total == sum(report.by_part[part] for part in PARTS if part != "frontend") == sum(report.by_module.values()) - report.by_part["frontend"]
    assert report.seconds == 10.0


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
@pytest.mark.parametrize("seconds", [1.0, 3.7])
def test_equals_torch(head: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = es.create_model("fmn04" if head == "none" else f"fmn04+{head}-64", num_classes=5).eval()
    monkeypatch.setattr(mamba, "selective_scan", lambda x, *_: (x, x))  # torch sees its chunked form, we count the recurrence: compared by hand below
    num_scans, steps = sum(isinstance(module, mamba.Mamba2) for module in model.modules()), model.grid.num_frames(round(seconds * 16_000))
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        mel = model.frontend(torch.zeros(1, round(seconds * 16_000)))
        before = counter.get_total_flops()
        model(mel)
    assert es.count_macs(model, seconds).total == (counter.get_total_flops() - before) / 2 + num_scans * steps * 2 * (2 * 64) * 64


def test_growth_with_length() -> None:
    model = es.create_model("fmn04+tf-64", num_classes=5)
    short, long = (es.count_macs(model, seconds).by_module for seconds in (5.0, 10.0))
    assert long["sequence.blocks.0.attention"] == 4 * short["sequence.blocks.0.attention"] == 4 * 2 * 125**2 * 64
    assert long["sequence.blocks.0.attention.qkv"] == 2 * short["sequence.blocks.0.attention.qkv"] == 250 * 64 * 192
    assert long["backbone.features.0.0"] == 2 * short["backbone.features.0.0"]
    assert long["classifier.strong"] == 250 * 64 * 5
    assert long["classifier.weak"] == short["classifier.weak"] == 64 * 5


def test_both_ways_against_one() -> None:
    tcn, bitcn, one, both = (es.count_macs(es.create_model(f"fmn04+{head}-64", num_classes=5)).by_part["sequence"] for head in ("tcn", "bitcn", "mamba", "bimamba"))
    assert bitcn == tcn
    assert both - one == one - 250 * 384 * 64  # a second cell, one projection


def test_gru_by_hand() -> None:
    report = es.count_macs(es.create_model("fmn04+gru-16", num_classes=5))
    assert report.by_part["sequence"] == 250 * 2 * 3 * 16 * ((384 + 16) + (32 + 16))  # steps, directions, gates, state; inputs of both layers


def test_front_end_is_apart() -> None:
    report = es.count_macs(es.create_model("fmn04", num_classes=5))
    assert report.by_part["frontend"] > 1000 * 128 * 257  # the mel bank alone
    assert "frontend" in report.by_module
    assert report.total == report.by_part["backbone"] + report.by_part["classifier"]


def test_unknown_modules_with_weights_are_refused() -> None:
    model = es.create_model("fmn04", num_classes=5)
    model.sequence.add_module("extra", nn.Conv3d(2, 3, 1))
    with pytest.raises(ConfigError, match=r"^sequence\.extra \(Conv3d\) holds weights but count_macs has no formula for it: add one to FORMULAS"):
        es.count_macs(model, 1.0)


def test_the_model_stays_as_it_was() -> None:
    model = es.create_model("fmn04", num_classes=5).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    es.count_macs(model, 1.0)
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
