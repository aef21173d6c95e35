"""Options of fmn for small budgets: steps, costs, and what is refused."""

from __future__ import annotations

import pytest
import torch

import efficient_sed as es
from efficient_sed.errors import ConfigError
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS


def create(**options: float) -> SedModel:
    return SedModel(ModelSpec(BACKBONES.get("fmn01")(**options), SEQUENCE_HEADS.get("none")(), ("bell", "dog"))).eval()


@pytest.mark.parametrize(
    ("options", "hop_s", "share"),
    [
        ({"mel_bins": 64}, 0.04, 0.5),
        ({"mel_bins": 40}, 0.04, 0.35),
        ({"hop_ms": 20.0}, 0.08, 0.5),
        ({"hop_ms": 20.0, "time_stride": 2}, 0.04, 0.9),
        ({"time_stride": 8}, 0.08, 0.65),
        ({"mel_bins": 64, "hop_ms": 20.0, "time_stride": 2}, 0.04, 0.5),
    ],
)
@torch.inference_mode()
def test_steps_and_costs(options: dict[str, float], hop_s: float, share: float) -> None:
    """The share of the default's cost that a resolution should take, within an eighth of the default's."""
    model, whole = create(**options), es.count_macs(create(), 10.0).total
    assert model.grid.hop_s == pytest.approx(hop_s)
    mel = model.frontend(torch.randn(1, 160_000))
    assert mel.shape == (1, 1, options.get("mel_bins", 128), round(10_000 / options.get("hop_ms", 10.0)))
    assert model(mel).frame_logits.shape == (1, 2, round(10 / hop_s))
    assert es.count_macs(model, 10.0).total / whole == pytest.approx(share, abs=0.125)


BAD = [
    ({"mel_bins": 8}, r"^backbone\.mel_bins=8 is not allowed: 16 to 128$"),
    ({"mel_bins": 256}, r"^backbone\.mel_bins=256 is not allowed: 16 to 128$"),
    ({"hop_ms": 10.01}, r"^backbone\.hop_ms=10\.01 is not allowed: 5 to 50 ms, in whole samples at 16 kHz"),
    ({"hop_ms": float("nan")}, r"^backbone\.hop_ms=nan is not allowed: "),
    ({"time_stride": 3}, r"^backbone\.time_stride=3 is not allowed: one of 2, 4, 8$"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[str(options) for options, _ in BAD])
def test_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(**options)
