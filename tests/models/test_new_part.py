"""A head or a backbone is one new file: it is named, run, counted, saved, listed and configured by that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_contract
import torch
from adding import added

import efficient_sed as es
from efficient_sed.benchmark.model_list import list_composable
from efficient_sed.cli.main import main
from efficient_sed.errors import ConfigError
from efficient_sed.models.sed import frame_grid
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

HEAD = '''
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.errors import require
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.registry import SEQUENCE_HEADS


class MineHead(SequenceHead):
    """Every step of a mixture of the others: softmax of learned products."""

    def __init__(self, in_dim: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(scale * torch.randn(hidden, in_dim))
        self.out_dim = hidden

    def forward(self, features: Tensor) -> Tensor:
        x = features @ self.weight.T
        return x + (x @ x.transpose(1, 2)).softmax(-1) @ x
METHOD

@SEQUENCE_HEADS.register("mine")
@dataclass(frozen=True)
class MineConfig(SequenceHeadConfig):
    hidden: int = 64
    """Model dimension."""
    scale: float = 0.1
    """Standard deviation of the first weights."""

    def __post_init__(self) -> None:
        require(self.scale > 0, "seq.scale", self.scale, "above 0")

    def build(self, in_dim: int) -> SequenceHead:
        return MineHead(in_dim, self.hidden, self.scale)
'''
HEAD_MACS = """
    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        _, T, D = output.shape
        return T * self.weight.numel() + 2 * T * T * D

"""
BACKBONE = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.contracts import Backbone, check_mel
from efficient_sed.registry import BACKBONES

BINS, HOP = 20, 400


class Envelope(FrontEnd):
    """Energies of 20 filters of 50 ms at 8 kHz."""

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = 8000, HOP, BINS
        self.first_frame_samples = self.min_samples = HOP
        turns = torch.outer(torch.arange(1, BINS + 1), torch.arange(HOP)) / HOP
        self.register_buffer("filters", turns.mul(6.283).cos()[:, None] / HOP, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        self.check(waveform)
        return nn.functional.conv1d(waveform[:, None], self.filters, stride=HOP).square()[:, None]

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        return output.shape[-1] * self.filters.numel()


class Scale(nn.Module):
    """A weight for each bin."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(BINS, 1))

    def forward(self, mel: Tensor) -> Tensor:
        return mel * self.weight

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        return 0


class Mine(Backbone):
    """Two steps of a frame."""

    out_dim = 12
    time_stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.conv = Scale(), nn.Conv1d(BINS, self.out_dim, 3, padding=1)

    def forward(self, mel: Tensor) -> Tensor:
        check_mel(mel, "mine", BINS)
        features: Tensor = self.conv(self.scale(mel)[:, 0]).tanh()
        return features.transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        return [self.scale, self.conv]


@BACKBONES.register("mine")
@dataclass(frozen=True)
class MineConfig(BackboneConfig):
    has_mel_jitter: ClassVar[bool] = False
    gain: float = 1.0
    """Nothing."""

    def build(self) -> Backbone:
        return Mine()

    def build_frontend(self) -> FrontEnd:
        return Envelope()
'''


@pytest.fixture
def mine_head(tmp_path: Path) -> Iterator[None]:
    with added(SEQUENCE_HEADS, tmp_path / "added", "mine", HEAD.replace("METHOD\n", HEAD_MACS)):
        yield


@pytest.fixture
def mine_backbone(tmp_path: Path) -> Iterator[None]:
    with added(BACKBONES, tmp_path / "added", "mine", BACKBONE):
        yield
    frame_grid.cache_clear()


def round_trip(name: str, seconds: float, path: Path) -> es.MacsReport:
    """Create, run, save and load a model; its MACs."""
    model = es.create_model(name, num_classes=3).eval()
    waveform = torch.randn(2, round(seconds * model.frontend.sample_rate))
    output = model(model.frontend(waveform))
    steps = model.grid.num_frames(waveform.shape[1])
    assert (output.frame_logits.shape, output.clip_logits.shape) == ((2, 3, steps), (2, 3))
    es.save_model(model, path)
    loaded = es.load_model(str(path))
    assert loaded.spec == model.spec
    assert torch.equal(loaded(loaded.frontend(waveform)).frame_logits, output.frame_logits)
    fused = es.fuse(model)
    torch.testing.assert_close(fused(fused.frontend(waveform)).frame_logits, output.frame_logits)
    return es.count_macs(model, seconds)


@pytest.mark.usefixtures("mine_head")
def test_a_head_with_a_weight_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = round_trip("fmn04+mine-32", 1.0, tmp_path / "mine.safetensors")
    assert report.by_module["sequence"] == report.by_part["sequence"] == 25 * 32 * 384 + 2 * 25 * 25 * 32
    (row,) = list_composable("fmn04+mine-32", [32])
    assert row["macs"] == es.count_macs(es.create_model("fmn04+mine-32", num_classes=447)).total
    assert main(["models", "--composable", "fmn04+mine*", "--hidden", "32", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["composable"]] == ["fmn04+mine-32"]
    assert main(["train", "seq=mine", "seq.scale=0.5", "--show-config"]) == 0
    assert json.loads(capsys.readouterr().out)["seq"] == {"name": "mine", "hidden": 64, "scale": 0.5}
    assert main(["train", "seq=mine", "seq.scale=0", "--show-config"]) == 2
    assert "seq.scale" in capsys.readouterr().err
    test_contract.test_gradients_reach_every_parameter("fmn04", "mine")
    test_contract.test_causality_is_told_truly("mine")


@pytest.mark.usefixtures("mine_backbone")
def test_a_backbone_with_layers_and_a_front_end_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = round_trip("mine+gru-16", 2.0, tmp_path / "mine.safetensors")
    assert report.by_part["frontend"] == 40 * 20 * 400
    assert report.by_part["backbone"] == 40 * 20 * 12 * 3
    assert main(["models", "--composable", "mine+gru*", "--hidden", "16", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["composable"]] == ["mine+gru-16"]
    assert main(["train", "backbone=mine", "backbone.gain=2", "train.augment.mel_jitter=false", "--show-config"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"]["gain"] == 2
    test_contract.test_gradients_reach_every_parameter("mine", "none")
    test_contract.test_stages_hold_all_parameters("mine")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "",
            r"^sequence \(MineHead\) holds weights but count_macs has no formula for it: "
            r"give the module a method `macs`",
        ),
        (
            "\n    def macs(self, inputs, output):\n        return 0\n\n",
            r"^sequence \(MineHead\) calls \w+, but count_macs has no formula that covers it: give the module a method",
        ),
    ],
    ids=["none", "zero"],
)
def test_a_head_that_does_not_count_itself_is_refused(tmp_path: Path, method: str, message: str) -> None:
    with added(SEQUENCE_HEADS, tmp_path, "mine", HEAD.replace("METHOD\n", method)):
        model = es.create_model("fmn04+mine-32", num_classes=3)
        with pytest.raises(ConfigError, match=message):
            es.count_macs(model, 1.0)
