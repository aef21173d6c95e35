"""MACs against published figures, torch's own counter, DeepSpeed's and formulas by hand."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import torch
from macs import COLUMNS, our_columns, published_models
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import efficient_sed as es
from efficient_sed.benchmark import macs
from efficient_sed.benchmark.macs import PARTS, deepspeed_macs
from efficient_sed.benchmark.macs_notes import deepspeed_differences, explain_macs, published_macs
from efficient_sed.errors import ConfigError
from efficient_sed.files.packaged import resource_folder
from efficient_sed.frontier.published import read_published_models
from efficient_sed.models.sequence import mamba
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

T, E, K = 250, 960, 447  # steps of a 10 s clip, fmn10's features, AudioSet Strong's classes
HEADS_BY_HAND: dict[str, Callable[[int], int]] = {
    "attn": lambda d: T * E * d + 2 * (3 * T * d * d + 8 * T * d + 2 * T * T * d + T * d * d),
    "tf": lambda d: T * E * d + 2 * (3 * T * d * d + 8 * T * d + 2 * T * T * d + T * d * d + 8 * T * d * d),
    "gru": lambda d: 2 * T * 3 * d * (E + d) + 2 * T * 3 * d * (2 * d + d),
    "tcn": lambda d: T * E * d + 2 * 5 * 2 * 3 * T * d * d,
    "hybrid": lambda d: (
        T * E * d + 2 * (3 * T * d * d + 2 * T * T * d + 4 * T * d * d + 2 * T * d * d + T * d * d + 8 * T * d * d)
    ),
    "mamba": lambda d: (
        T * E * d
        + 2
        * (
            T * d * (4 * d + 128 + 2 * d // (32 if d == 128 else 64))
            + 2 * T * d * d
            + 3 * T * (2 * d + 128)
            + 2 * T * 2 * d * 64
        )
    ),
}


def shipped_table() -> list[dict[str, str]]:
    with (resource_folder("results") / "efficientsed_macs.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == COLUMNS
        return list(reader)


SHIPPED = {row["model"]: row for row in shipped_table()}  # compared with a new count below, so that others may read it


@pytest.mark.parametrize(
    ("name", "mega", "digits"),
    [("fmn04", 181.1, 1), ("fmn06", 376.3, 1), ("fmn10", 947.37, 2), ("fmn20", 3624.2, 1), ("fmn30", 8030.5, 1)],
)
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
    assert round(int(SHIPPED[f"fmn10{head}"]["macs"]) / 1e6, 1 if head else 2) == mega


@pytest.mark.parametrize("name", [row for row in published_models() if row.startswith("fmn10+")])
def test_parts_by_hand(name: str) -> None:
    _, head, hidden = name.replace("-", "+").split("+")
    parts, width = [947_371_200, HEADS_BY_HAND[head](int(hidden))], 2 * int(hidden) if head == "gru" else int(hidden)
    parts.append((T + 1) * width * K)
    assert [int(SHIPPED[name][f"macs_{part}"]) for part in PARTS[1:]] == parts
    assert int(SHIPPED[name]["macs"]) == sum(parts)


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
@pytest.mark.parametrize("seconds", [1.0, 3.7])
def test_equals_torch(head: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = es.create_model("fmn04" if head == "none" else f"fmn04+{head}-64", num_classes=5).eval()
    monkeypatch.setattr(
        mamba, "selective_scan", lambda x, *_: (x, x)
    )  # torch sees its chunked form, we count the recurrence: compared by hand below
    steps = model.grid.num_frames(round(seconds * 16_000))
    report = es.count_macs(model, seconds)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        mel = model.frontend(torch.zeros(1, round(seconds * 16_000)))
        with FlopCounterMode(display=False) as counter:
            model(mel)
    flops = counter.get_flop_counts()
    assert len(report.by_module) > 50
    for name in ["", *(name for name in report.by_module if name != "frontend")]:
        ours = (
            sum(count for inner, count in report.by_module.items() if f"{inner}.".startswith(f"{name}."))
            if name
            else report.total
        )
        theirs = sum(flops.get(f"SedModel.{name}".rstrip("."), {}).values()) / 2
        num_scans = sum(isinstance(inner, mamba.Mamba2) for inner in model.get_submodule(name).modules())
        assert ours == theirs + num_scans * 2 * steps * (2 * 64) * 64, name


@pytest.mark.parametrize("name", ["dnd-base", "dnd-dws", "dnd-dnd-k3-d10", "prinzivalle-conv1x1"])
def test_dnd_sed_by_hand(name: str) -> None:
    """Three blocks at 40, 8 and 2 features a frame, the first with one channel in.

    A GRU, or nine taps at 127 places, or at 254 and 85 mixtures of them.
    """
    report = es.count_macs(es.create_model(name, num_classes=16), 1.0)
    frames = 100 if name.startswith("dnd") else 22_050 // 220
    pointwise, taps = 256 * 256, 25 * 256
    blocks = taps * 40 + 25 * pointwise * (8 + 2) if name == "dnd-base" else (taps + pointwise) * (40 + 8 + 2)
    gru = 3 * 256 * (256 + 256)
    sequence, width = {
        "dnd-dnd-k3-d10": (9 * 256 * 127, 127),
        "prinzivalle-conv1x1": (9 * 256 * 254 + pointwise * 85, 85),
    }.get(name, (gru, 1))
    log_mel = 882 + 1024 * 10 + 2 * 513 + 40 * 513
    cepstrum = 440 + 512 * 9 + 2 * 257 + 40 * 257 + 40 * 40
    per_frame = {
        "frontend": log_mel if name.startswith("dnd") else cepstrum,
        "backbone": blocks,
        "sequence": sequence,
        "classifier": 256 * width * 16,
    }
    assert report.by_part == {part: frames * count for part, count in per_frame.items()}
    assert report.total == sum(report.by_part.values()) - report.by_part["frontend"]


def test_all_that_torch_counts_is_a_product() -> None:
    names = [operation.__name__ for operation in flop_registry if not operation.__name__.endswith("_backward")]
    assert len(names) > 10
    assert [name for name in names if not macs._PRODUCT.search(name)] == []


def test_growth_with_length() -> None:
    model = es.create_model("fmn04+tf-64", num_classes=5)
    short, long = (es.count_macs(model, seconds).by_module for seconds in (5.0, 10.0))
    assert long["sequence.blocks.0.attention"] == 4 * short["sequence.blocks.0.attention"] == 4 * 2 * 125**2 * 64
    assert long["sequence.blocks.0.attention.qkv"] == 2 * short["sequence.blocks.0.attention.qkv"] == 250 * 64 * 192
    assert long["backbone.features.0.0"] == 2 * short["backbone.features.0.0"]
    assert long["classifier.strong"] == 250 * 64 * 5
    assert long["classifier.weak"] == short["classifier.weak"] == 64 * 5


def test_both_ways_against_one() -> None:
    tcn, bitcn, one, both = (
        es.count_macs(es.create_model(f"fmn04+{head}-64", num_classes=5)).by_part["sequence"]
        for head in ("tcn", "bitcn", "mamba", "bimamba")
    )
    assert bitcn == tcn
    assert both - one == one - 250 * 384 * 64  # a second cell, one projection


def test_gru_by_hand() -> None:
    report = es.count_macs(es.create_model("fmn04+gru-16", num_classes=5))
    assert report.by_part["sequence"] == 250 * 2 * 3 * 16 * (
        (384 + 16) + (32 + 16)
    )  # steps, directions, gates, state; inputs of both layers


def test_front_end_is_apart() -> None:
    report = es.count_macs(es.create_model("fmn04", num_classes=5))
    assert report.by_part["frontend"] > 1000 * 128 * 257  # the mel bank alone
    assert "frontend" in report.by_module
    assert (
        report.total
        == report.by_part["backbone"] + report.by_part["classifier"]
        == sum(report.by_module.values()) - report.by_part["frontend"]
    )
    assert (tuple(report.by_part), report.seconds) == (PARTS, 10.0)


def test_unknown_modules_with_weights_are_refused() -> None:
    model = es.create_model("fmn04", num_classes=5)
    model.sequence.add_module("extra", nn.Conv3d(2, 3, 1))
    with pytest.raises(
        ConfigError,
        match=(
            r"^sequence\.extra \(Conv3d\) holds weights but count_macs has no formula for it: "
            r"give the module a method `macs`"
        ),
    ):
        es.count_macs(model, 1.0)


class Extra(nn.Module):
    """A head's step that holds no weights."""

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * self.compute(x).sum()


@pytest.mark.parametrize(
    ("compute", "operation"),
    [
        (lambda x: x @ x.mT, "matmul"),
        (lambda x: torch.bmm(x, x.mT), "bmm"),
        (lambda x: torch.einsum("btd,bsd->bts", x, x), "einsum"),
        (lambda x: torch.tensordot(x, x, 2), "tensordot"),
        (lambda x: torch.addmm(x[0, :, :1], x[0], x[0].T), "addmm"),
        (lambda x: torch.linalg.multi_dot([x[0], x[0].T, x[0]]), "linalg_multi_dot"),
        (lambda x: torch.mv(x[0], x[0, 0]), "mv"),
        (lambda x: torch.dot(x[0, 0], x[0, 0]), "dot"),
        (lambda x: F.linear(x, torch.ones(3, x.shape[2])), "linear"),
        (lambda x: F.bilinear(x, x, torch.ones(2, x.shape[2], x.shape[2])), "bilinear"),
        (lambda x: F.conv1d(x.mT, torch.ones(2, x.shape[2], 3)), "conv1d"),
        (lambda x: F.conv_transpose1d(x.mT, torch.ones(x.shape[2], 2, 3)), "conv_transpose1d"),
        (lambda x: F.conv2d(x[:, None], torch.ones(1, 1, 3, 3)), "conv2d"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), "scaled_dot_product_attention"),
        (lambda x: torch.fft.rfft(x, dim=1).abs(), "(_fft_r2c|fft_rfft)"),  # as a whole, or what it is made of
        (lambda x: torch.cdist(x, x), "cdist"),
    ],
)
def test_unknown_products_are_refused(compute: Callable[[Tensor], Tensor], operation: str) -> None:
    model = es.create_model("fmn04", num_classes=5)
    model.sequence = nn.Sequential(Extra(compute))  # type: ignore[assignment]
    with pytest.raises(
        ConfigError,
        match=(
            rf"^sequence\.0 \(Extra\) calls {operation}, but count_macs has no formula that covers it: "
            r"give the module a method `macs`"
        ),
    ):
        es.count_macs(model, 1.0)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_weights_used_without_their_module_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = es.create_model("fmn04", num_classes=5)
    monkeypatch.setattr(
        model.classifier,
        "forward",
        lambda x: es.models.contracts.SedOutput(F.linear(x, model.classifier.strong.weight), x[:, 0]),
    )
    with pytest.raises(ConfigError, match=r"^classifier \(LinearClassifier\) calls linear, but"):
        es.count_macs(model, 1.0)


def test_element_by_element_is_not_counted() -> None:
    model = es.create_model("fmn04", num_classes=5)
    before = es.count_macs(model, 1.0)
    model.sequence = Extra(
        lambda x: F.gelu(x).cumsum(1) * x.softmax(2) + F.layer_norm(x, x.shape[2:]) + F.avg_pool1d(x, 3, 1, 1)
    )  # type: ignore[assignment]
    assert es.count_macs(model, 1.0) == before


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layers_in_both_layouts(layer: type[nn.RNNBase], batch_first: bool) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer(384, 8, batch_first=batch_first)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.layer(x)[0] if batch_first else self.layer(x.transpose(0, 1))[0].transpose(0, 1)
            return F.pad(output, (0, 384 - 8))

    model = es.create_model("fmn04", num_classes=5)
    model.sequence = Head()  # type: ignore[assignment]
    assert es.count_macs(model, 1.0).by_part["sequence"] == 25 * 8 * (384 + 8) * (3 if layer is nn.GRU else 4)


def test_a_compiled_model_counts_the_same() -> None:
    model = es.create_model("fmn04+hybrid-64", num_classes=5)
    expected = es.count_macs(model, 1.0)
    assert es.count_macs(torch.compile(model, backend="eager"), 1.0) == expected  # type: ignore[arg-type]
    model.compile(backend="eager")
    assert es.count_macs(model, 1.0) == expected


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
def test_a_fused_model_counts_the_same(head: str) -> None:
    model = es.create_model("fmn04" if head == "none" else f"fmn04+{head}-64", num_classes=5)
    assert es.count_macs(es.fuse(model), 1.0).by_part == es.count_macs(model, 1.0).by_part


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_every_backbone_counts(backbone: str) -> None:
    assert es.count_macs(es.create_model(backbone, num_classes=5), 1.3).by_part["backbone"] > 1e6


def test_the_model_stays_as_it_was() -> None:
    model = es.create_model("fmn04", num_classes=5).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    es.count_macs(model, 1.0)
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_shipped_table_has_every_published_model() -> None:
    assert list(SHIPPED) == published_models()
    assert len(SHIPPED) == 41
    assert [
        row["model"]
        for row in SHIPPED.values()
        if "unexplained" in row["note"] or not all(row[column] for column in COLUMNS if column != "hidden")
    ] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_table_is_what_is_counted_now(name: str) -> None:
    columns = our_columns(name, int(SHIPPED[name]["macs_deepspeed"]))
    assert {column: str(value) for column, value in columns.items()} == {
        column: SHIPPED[name][column] for column in columns
    }


ERANN = {
    row.model: round(row.complexity["macs_published"])
    for row in read_published_models("erann_audioset")
    if "macs_published" in row.complexity
}


@pytest.mark.parametrize("name", ["erann-8x4-4", "erann-8x4-5", "erann-8x4-6", "erann-8x8-6"])
def test_multi_adds_of_erann(name: str) -> None:
    """The paper's are the convolutions and the two layers behind them, once for a clip of 10 s, without the front end.

    To 0.02 % where they do not round alike.
    """
    assert len(ERANN) == 6
    with torch.device("meta"):
        model = es.create_model(name, num_classes=527)
    model = model.to_empty(device="cpu")
    report = es.count_macs(model)
    dim = model.backbone.out_dim
    assert report.by_part["classifier"] == (model.grid.num_frames(441_000) + 1) * dim * (dim + 527)
    ours = report.by_part["backbone"] + dim * (dim + 527)
    assert ours == pytest.approx(ERANN[name], rel=0.0003)
    assert (round(ours / 1e9, 2) == ERANN[name] / 1e9) == (name in ("erann-8x4-5", "erann-8x4-6"))
    assert published_macs(model) == ERANN[name]
    assert re.fullmatch(
        r"published has no frame logits \(-[\d.]+ M\) and agrees to [+-]0\.0%",
        explain_macs(model, report, None, published_macs(model)),
    )


def test_a_convolution_of_erann_by_hand() -> None:
    """Of the third block's first unit, of stride 4 in time.

    6 taps by 3 from 96 to 192 channels at 32 x 80 places, 5 by 3 among 192, and the shortcut.
    """
    macs_of = es.count_macs(es.create_model("erann-8x4-6", num_classes=2)).by_module
    unit = "backbone.blocks.2.0"
    places = 32 * 80
    assert macs_of[f"{unit}.branch.2"] == 3 * 6 * 96 * 192 * places
    assert macs_of[f"{unit}.branch.5"] == 3 * 5 * 192 * 192 * places
    assert macs_of[f"{unit}.shortcut.1"] == 96 * 192 * places


def test_a_wrong_count_is_not_explained() -> None:
    model = es.create_model("fmn10+gru-256", num_classes=447)
    report, published = es.count_macs(model), published_macs(model)
    assert published == 998_000_000
    right = report.total - report.by_module["sequence.gru"]
    assert (
        explain_macs(model, report, right, published)
        == "DeepSpeed counts nn.GRU as zero (-761.9 M); published counts nn.GRU as zero (-761.9 M) and agrees to -0.7%"
    )
    assert (
        explain_macs(model, report, right + 1, round(1.02 * right))
        == "DeepSpeed unexplained: -761.9 M; published unexplained: -741.8 M"
    )
    assert explain_macs(model, report, None, None) == ""


@pytest.mark.parametrize(
    ("name", "num_classes", "seconds"),
    [
        ("fmn10+gru-256", 446, 10.0),
        ("fmn10+gru-256", 447, 9.0),
        ("fmn10+gru-255", 447, 10.0),
        ("fmn10+mingru-256", 447, 10.0),
    ],
)
def test_only_the_published_models_have_published_counts(name: str, num_classes: int, seconds: float) -> None:
    assert published_macs(es.create_model(name, num_classes=num_classes), seconds) is None


@pytest.mark.parametrize(
    ("returncode", "stdout", "expected", "warning"),
    [
        (0, "[INFO] Flops profiler started\n\n123456\n", 123_456, ""),
        (1, "", None, "DeepSpeed's profiler failed, its MACs are left out: TypeError: some reason"),
    ],
)
def test_what_the_profilers_process_says(
    returncode: int,
    stdout: str,
    expected: int | None,
    warning: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:3] == ["-m", "efficient_sed.benchmark._deepspeed"]
        return subprocess.CompletedProcess(command, returncode, stdout, "Traceback\nTypeError: some reason\n")

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(subprocess, "run", run)
    assert deepspeed_macs(es.create_model("fmn04", num_classes=5)) == expected
    assert [record.getMessage() for record in caplog.records] == ([warning] if warning else [])


def test_without_deepspeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert deepspeed_macs(es.create_model("fmn04", num_classes=5)) is None


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs deepspeed")
@pytest.mark.parametrize(("name", "seconds"), [("fmn04+gru-64", 1.0), ("fmn04+mamba-128", 3.0)])
def test_deepspeed_differs_as_explained(name: str, seconds: float) -> None:
    model = es.create_model(name, num_classes=5)
    report = es.count_macs(model, seconds)
    differences = deepspeed_differences(model, report)
    assert len(differences) == 1
    assert deepspeed_macs(model, seconds) == report.total + sum(differences.values())


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_length_that_is_none(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"^seconds=.* is not allowed: a length above 0$"):
        es.count_macs(es.create_model("fmn04", num_classes=2), seconds)


def test_what_is_no_model() -> None:
    with pytest.raises(TypeError, match=r"^count_macs takes a SedModel, got str; make one by create_model\(NAME"):
        es.count_macs("fmn04")  # type: ignore[arg-type]
