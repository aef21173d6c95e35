"""Trainings start from files in the format of each publisher, and from nothing else."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

import efficient_sed as es
from efficient_sed.errors import CheckpointError
from efficient_sed.models.backbones.mobilenet_v3 import FrameMobileNet, InvertedResidual, SqueezeExcitation
from efficient_sed.models.contracts import Backbone, Positioned
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights import initial
from efficient_sed.models.weights.cards import Card
from efficient_sed.models.weights.header import model_header
from efficient_sed.models.weights.initial import load_initial, load_initial_model
from efficient_sed.registry import BACKBONES

State = dict[str, Tensor]
TIMM_NAME, TIMM_FULL_NAME = "mobilenetv3_large_100", "mobilenetv3_large_100.ra_in1k"
PARITY = Path(__file__).parents[2] / "parity"


def randomised(module: nn.Module, seed: int = 0) -> State:
    """A state dict in which no two tensors are alike, BatchNorm's included."""
    generator = torch.Generator().manual_seed(seed)
    state = module.state_dict()
    for key, value in state.items():
        if key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.ndim <= 1 and value.is_floating_point():
            value.normal_(0, 0.1, generator=generator)
    return {key: value.clone() for key, value in state.items()}


def own(name: str = "fmn10") -> State:
    return randomised(BACKBONES.get(name)().build())


def published(backbone: State) -> State:
    """The backbone's tensors in the names of EfficientAT, and of EfficientSED behind its prefix."""
    return {
        key.replace(".fc1.", ".conc_se_layers.0.fc1.").replace(".fc2.", ".conc_se_layers.0.fc2."): value
        for key, value in backbone.items()
    }


def efficientat(backbone: State) -> State:
    in_dim = backbone["features.16.0.weight"].shape[0]
    head = {
        "classifier.2.weight": torch.randn(4 * in_dim // 3, in_dim),
        "classifier.2.bias": torch.randn(4 * in_dim // 3),
    }
    return (
        published(backbone)
        | head
        | {"classifier.5.weight": torch.randn(527, 4 * in_dim // 3), "classifier.5.bias": torch.randn(527)}
    )


SPELLINGS = {
    "net.model.": "net.",
    "model.model.": "model.",
    "model.fmn.": "",
}  # before the backbone: before everything else


def efficientsed(backbone: State, prefix: str = "net.model.") -> State:
    heads = {
        f"{SPELLINGS[prefix]}{part}_head.{leaf}": torch.zeros(527)
        for part in ("strong", "weak")
        for leaf in ("weight", "bias")
    }
    return {f"{prefix}{key}": value for key, value in published(backbone).items()} | heads


def start(init: str | Path, name: str = "fmn10") -> Backbone:
    config = BACKBONES.get(name)(str(init))
    module = config.build()
    load_initial(module, config)
    return module


def assert_holds(module: Backbone, state: State) -> None:
    filled = module.state_dict()
    assert filled.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(filled[key], value), key


def rgb(stem: Tensor) -> Tensor:
    """Three channels that sum to one, exactly."""
    return torch.cat([stem / 2, stem / 4, stem / 4], 1)


@pytest.mark.parametrize(("name", "has_rgb_stem"), [("fmn04", False), ("fmn10", True)])
def test_efficientat(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, has_rgb_stem: bool) -> None:
    backbone, path = own(name), tmp_path / "mnxx_im.pt"
    state = efficientat(backbone)
    if has_rgb_stem:
        state["features.0.0.weight"] = rgb(state["features.0.0.weight"])
    torch.save(state, path)
    with caplog.at_level(logging.INFO):
        module = start(path, name)
    assert_holds(module, backbone)
    end = "; its RGB stem is summed to one channel" if has_rgb_stem else ""
    assert caplog.messages == [
        f"{name} starts from {path}: {len(backbone)} backbone tensors; left out: classifier (4){end}"
    ]


def test_the_names_are_those_of_the_released_files() -> None:
    layout: dict[str, list[int]] = json.loads(str(np.load(PARITY / "fmn10.npz")["layout"]))
    released = {key.removeprefix("net.model."): tuple(shape) for key, shape in layout.items() if ".features." in key}
    assert released == {key: tuple(value.shape) for key, value in published(own()).items()}


@pytest.mark.parametrize("prefix", SPELLINGS)
def test_efficientsed(tmp_path: Path, caplog: pytest.LogCaptureFixture, prefix: str) -> None:
    backbone = own("fmn04")
    torch.save(
        efficientsed(backbone, prefix) | {f"{SPELLINGS[prefix]}seq_model.0.weight": torch.zeros(2, 2)},
        tmp_path / "fmn04_weak.pt",
    )
    with caplog.at_level(logging.INFO):
        assert_holds(start(tmp_path / "fmn04_weak.pt", "fmn04"), backbone)
    assert caplog.messages[0].endswith("left out: classifier (4), sequence (1)")


OWN_FILES: list[tuple[str, Callable[[Any, Path], Any], str]] = [
    ("a.safetensors", es.save_model, "classifier (4), sequence (25)"),
    (
        "a.ckpt",
        lambda model, path: torch.save(
            {
                "state_dict": {f"model.{k}": v for k, v in model.state_dict().items()},
                "hyper_parameters": {"model": model_header(model)},
            },
            path,
        ),
        "",
    ),
    ("a.pt", lambda model, path: torch.save(model.state_dict(), path), "classifier (4), sequence (25)"),
    ("b.pt", lambda model, path: torch.save(model.backbone.state_dict(), path), "nothing"),
    ("b.safetensors", lambda model, path: safetensors.torch.save_file(model.backbone.state_dict(), path), "nothing"),
]


@pytest.mark.parametrize(("name", "save", "left_out"), OWN_FILES, ids=[row[0] for row in OWN_FILES])
def test_own_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, save: Callable[[Any, Path], Any], left_out: str
) -> None:
    model = es.create_model("fmn04+tf-64", num_classes=3)
    backbone = randomised(model.backbone)
    save(model, tmp_path / name)
    with caplog.at_level(logging.INFO):
        assert_holds(start(tmp_path / name, "fmn04"), backbone)
    assert left_out in caplog.messages[0]


def card(name: str, architecture: str) -> Card:
    return Card(
        name=name,
        architecture=architecture,
        file=f"{name}.pt",
        task="backbone",
        summary="a stand-in",
        licence="MIT",
        params=1,
        macs=1,
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    architectures = {
        name: name[:4]
        for name in ("mn04_im", "mn06_im", "mn10_im", "mn04_as_mAP_432", "mn05_as_mAP_443", "mn10_as_mAP_471")
    }
    architectures |= {
        "fmn04_synthetic": "fmn04",
        "fmn04_advanced-kd-weak": "fmn04",
        "fmn06+tf-64_strong": "fmn06+tf-64",
    }
    monkeypatch.setattr(
        initial, "list_cards", lambda: {name: card(name, architecture) for name, architecture in architectures.items()}
    )
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path))
    return tmp_path


CARDS = [
    ("im", "fmn04", "mn04_im"),
    ("im", "fmn06", "mn06_im"),
    ("as", "fmn04", "mn04_as_mAP_432"),
    ("mn04_im", "fmn04", "mn04_im"),
    ("mn04_as_mAP_432", "fmn04", "mn04_as_mAP_432"),
    ("synthetic", "fmn04", "fmn04_synthetic"),
    ("fmn04_synthetic", "fmn04", "fmn04_synthetic"),
    ("advanced-kd-weak", "fmn04", "fmn04_advanced-kd-weak"),
    ("fmn06+tf-64_strong", "fmn06", "fmn06+tf-64_strong"),
]


@pytest.mark.parametrize(("init", "name", "found"), CARDS, ids=[f"{row[1]} {row[0]}" for row in CARDS])
def test_names_and_tags(home: Path, init: str, name: str, found: str) -> None:
    backbone = own(name)
    torch.save(efficientat(backbone) if found.startswith("mn") else efficientsed(backbone), home / f"{found}.pt")
    assert_holds(start(init, name), backbone)


@pytest.mark.parametrize("name", ["fmn04", "fmn06", "fmn10", "fmn20", "fmn30"])
def test_the_tags_of_a_sweep_have_cards(name: str) -> None:
    cards = {card.url for card in initial.list_cards().values() if card.architecture == name.removeprefix("f")}
    tags = ["im"] if name == "fmn06" else ["im", "as"]
    found = [initial._card(BACKBONES.get(name)(tag)) for tag in tags]
    assert {card.url for card in found} == cards
    assert all(card.name.startswith(f"mn{name[3:]}_{tag}") for card, tag in zip(found, tags, strict=True))


BAD_NAMES = [
    (
        "as",
        "fmn06",
        r"backbone\.init=as is there for fmn04, .*mn10 only; weights for fmn06: mn06_im, fmn06\+tf-64_strong",
    ),
    (
        "im",
        "fmn30",
        r"backbone\.init=im is there for fmn04, fmn06, fmn10, mn04, mn06, mn10 only; weights for fmn30: none",
    ),
    (
        "strong",
        "fmn06",
        r"backbone\.init=strong: there are no such weights for fmn06; did you mean 'fmn06\+tf-64_strong'\? allowed: "
        r".*; a file of yours is given by its path",
    ),
    (
        "a",
        "fmn04",
        r"backbone\.init=a: there are no such weights for fmn04; allowed: .*mn04_im; "
        r"a file of yours is given by its path",
    ),
    ("fmn04", "fmn04", r"backbone\.init=fmn04: there are no such weights for fmn04; .*"),
    ("", "fmn04", r"backbone\.init=: there are no such weights for fmn04; .*"),
    ("mn10_im", "fmn04", r"backbone\.init=mn10_im holds mn10, the run's backbone is fmn04"),
    ("mn05_as_mAP_443", "fmn04", r"backbone\.init=mn05_as_mAP_443 holds mn05, the run's backbone is fmn04"),
    ("fmn06+tf-64_strong", "fmn04", r"backbone\.init=fmn06\+tf-64_strong holds fmn06, the run's backbone is fmn04"),
    (TIMM_NAME, "fmn04", r"backbone\.init=mobilenetv3_large_100 holds fmn10, the run's backbone is fmn04"),
    ("mn04_im.pt", "fmn04", r"mn04_im\.pt: no such checkpoint file"),
    ("runs/mine", "fmn04", r"runs/mine: no such checkpoint file"),
]


@pytest.mark.parametrize(("init", "name", "message"), BAD_NAMES, ids=[f"{row[1]} {row[0]}" for row in BAD_NAMES])
@pytest.mark.usefixtures("home")
def test_bad_names(init: str, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        start(init, name)


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def cut(state: Any, path: Path) -> None:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without(state: State, key: str) -> State:
    return {name: value for name, value in state.items() if name != key}


FOUR = efficientat(own("fmn04"))
BAD_FILES: list[tuple[str, str, Callable[[Path], Any], str]] = [
    (
        "truncated",
        "mn04_im.pt",
        lambda path: cut(FOUR, path),
        "not a checkpoint of plain tensors: it is damaged, cut short, or of another kind",
    ),
    ("truncated", "mn04_im.safetensors", lambda path: cut(FOUR, path), "damaged or not a safetensors file"),
    (
        "web page",
        "mn04_im.pt",
        lambda path: path.write_text("<!DOCTYPE html>\n"),
        "it is a web page; download the file itself",
    ),
    (
        "web page",
        "a.safetensors",
        lambda path: path.write_text("<!DOCTYPE html>\n"),
        "damaged or not a safetensors file",
    ),
    (
        "code",
        "mn04_im.pt",
        lambda path: torch.save(FOUR | {"a": Payload(path.parent / "trace")}, path),
        "it holds code, which is never run",
    ),
    (
        "bare code",
        "a.bin",
        lambda path: path.write_bytes(pickle.dumps({"a": Payload(path.parent / "trace")}, protocol=2)),
        "it holds code, which is never run",
    ),
    ("list", "a.pth", lambda path: torch.save([1], path), "holds a list, not a dictionary of tensors"),
    (
        "no backbone",
        "a.pt",
        lambda path: torch.save({"fc.weight": torch.zeros(1)}, path),
        r"holds no backbone that is known here \(its first key is 'fc.weight'\)",
    ),
    (
        "no backbone",
        "a.safetensors",
        lambda path: safetensors.torch.save_file({"fc.weight": torch.zeros(1)}, path),
        "holds no backbone that is known here",
    ),
    (
        "nothing",
        "a.safetensors",
        lambda path: safetensors.torch.save_file({}, path),
        r"holds no backbone that is known here \(its first key is None\)",
    ),
    (
        "a head alone",
        "a.pt",
        lambda path: torch.save({key: FOUR[key] for key in FOUR if "classifier" in key}, path),
        "holds no backbone that is known here",
    ),
    (
        "a tensor short",
        "a.pt",
        lambda path: torch.save(without(FOUR, "features.3.block.0.1.bias"), path),
        "do not fit: 1 missing, first features.3.block.0.1.bias",
    ),
    (
        "a tensor more",
        "a.pt",
        lambda path: torch.save(FOUR | {"features.17.weight": torch.zeros(1)}, path),
        "do not fit: 1 unknown, first features.17.weight",
    ),
    (
        "unregistered width",
        "mn07_im.pt",
        lambda path: torch.save(efficientat(randomised(FrameMobileNet(0.7))), path),
        r"do not fit: \d+ misshapen, first features\.0\.0\.weight: \(16, 1, 3, 3\) in the file, \(8, 1, 3, 3\) in",
    ),
    (
        "part of timm's",
        "a.pt",
        lambda path: torch.save({"conv_stem.weight": torch.zeros(16, 3, 3, 3)}, path),
        r"do not fit: \d+ missing, first features\.0\.1\.bias",
    ),
]


@pytest.mark.parametrize(
    ("name", "make", "reason"), [row[1:] for row in BAD_FILES], ids=[f"{row[0]} {row[1]}" for row in BAD_FILES]
)
def test_bad_files(tmp_path: Path, name: str, make: Callable[[Path], Any], reason: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(CheckpointError, match=f"^{path}: .*{reason}") as caught:
        start(path, "fmn04")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_another_width_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mn.pt"
    for state in (efficientat(own("fmn10")), efficientsed(own("fmn10"))):
        torch.save(state, path)
        for name in ("fmn04", "fmn30"):
            with pytest.raises(
                CheckpointError, match=rf"^backbone\.init={path} holds fmn10, the run's backbone is {name}$"
            ):
                start(path, name)


@pytest.fixture(scope="module")
def mobilenet() -> nn.Module:
    torch.manual_seed(3)
    model: nn.Module = timm.create_model(TIMM_NAME, pretrained=False)
    randomised(model)
    stem = model.state_dict()["conv_stem.weight"]
    stem.copy_((stem * 1024).round() / 1024)  # sums of it are exact
    return model.eval()


def gate_as_timm(self: SqueezeExcitation, x: Tensor) -> Tensor:
    gate = nn.functional.hardsigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))
    return x * gate[:, :, None, None]


def make_like_timm(module: Backbone, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a frame-wise MobileNet what timm has and it has not: strides, shortcuts, gates and eps."""
    monkeypatch.setattr(SqueezeExcitation, "forward", gate_as_timm)
    ours, theirs = (
        [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)] for net in (module, model)
    )
    assert len(ours) == len(theirs) == 16
    for conv, other in zip(ours, theirs, strict=True):
        conv.stride = other.stride
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-5
        elif isinstance(layer, InvertedResidual):
            convs = [m for m in layer.modules() if isinstance(m, nn.Conv2d)]
            layer.has_shortcut = (
                all(conv.stride == (1, 1) for conv in convs) and convs[0].in_channels == convs[-1].out_channels
            )


def test_timm_computes_the_same(mobilenet: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage by stage up to timm's conv_head: a grey picture in three channels there, in one here."""
    safetensors.torch.save_file(
        mobilenet.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"}
    )  # as on the hub
    module = start(tmp_path / "model.safetensors").eval()
    make_like_timm(module, mobilenet, monkeypatch)
    module.double()
    model: Any = copy.deepcopy(mobilenet).double()
    x = torch.randn(2, 1, 96, 128, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = model.bn1(model.conv_stem(x.expand(-1, 3, -1, -1))), module.features[0](x)  # type: ignore[index]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        blocks = [block for stage in model.blocks for block in stage]
        assert len(blocks) == 16
        for block, ours in zip(blocks, list(module.stages())[1:], strict=True):
            expected, found = block(expected), ours(found)
            assert expected.std() > 1e-3
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found, model.forward_features(x.expand(-1, 3, -1, -1)), rtol=1e-9, atol=1e-12)


def saved(state: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", [TIMM_NAME, "m.safetensors", "pytorch_model.bin", "nested.pth"])
def test_timm_by_name_and_file(
    mobilenet: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    state = mobilenet.state_dict()
    asked: list[Any] = []
    monkeypatch.setattr(timm, "create_model", lambda model, pretrained: asked.append((model, pretrained)) or mobilenet)
    init = (
        name
        if name == TIMM_NAME
        else str(saved({"state_dict": state} if name == "nested.pth" else state, tmp_path / name))
    )
    with caplog.at_level(logging.INFO):
        filled = start(init).state_dict()
    assert asked == ([(TIMM_FULL_NAME, True)] if name == TIMM_NAME else [])
    assert torch.equal(filled["features.0.0.weight"], state["conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(filled["features.4.block.2.fc2.weight"], state["blocks.2.0.se.conv_expand.weight"][:, :, 0, 0])
    assert torch.equal(filled["features.16.1.running_var"], state["blocks.6.0.bn1.running_var"])
    (message,) = caplog.messages
    assert message == (
        f"fmn10 starts from {init}: {len(filled)} backbone tensors; left out: classifier (2), conv_head (2); "
        "its gates were trained as hard sigmoids and its "
        "BatchNorm with eps 1e-5, here they are sigmoids and 1e-3; its RGB stem is summed to one channel"
    )


def test_timm_for_another_width(mobilenet: nn.Module, tmp_path: Path) -> None:
    path = saved(mobilenet.state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=rf"^backbone\.init={path} holds fmn10, the run's backbone is fmn20$"):
        start(path, "fmn20")
    other = saved(timm.create_model("mobilenetv3_large_075", pretrained=False).state_dict(), tmp_path / "other.pt")
    with pytest.raises(
        CheckpointError, match=rf"^{other}: the weights do not fit: \d+ misshapen, first features\.1\d\."
    ):
        start(other)
    foreign = saved(timm.create_model("efficientnet_b0", pretrained=False).state_dict(), tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match=rf"^{foreign}: the weights do not fit: "):
        start(foreign)


@pytest.mark.parametrize(
    "error", [OSError("no route to host\nand more"), RuntimeError("corrupt"), ImportError("no torchvision")]
)
def test_timm_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(CheckpointError) as caught:
        start(TIMM_NAME)
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    assert str(caught.value) == (
        f"backbone.init=mobilenetv3_large_100: timm could not fetch it ({reason}); download model.safetensors from "
        "https://huggingface.co/timm/mobilenetv3_large_100.ra_in1k and give its path as backbone.init=FILE"
    )


VISION = {
    "convnext_tiny": "convnext_tiny.fb_in1k",
    "convformer_s18": "convformer_s18.sail_in1k",
    "fastvit_sa24": "fastvit_sa24.apple_in1k",
}
RANDOM = {
    "convnext_tiny": "stem.0.bias, stem.0.weight",
    "convformer_s18": "stem.conv.weight",
    "fastvit_sa24": "stem.weight",
}


@pytest.fixture(scope="module", params=VISION)
def vision(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    """One of timm's networks, every tensor of its own."""
    torch.manual_seed(4)
    model: nn.Module = timm.create_model(request.param, pretrained=False)
    randomised(model)
    return request.param, model


@pytest.mark.parametrize(
    "suffix", ["", *(pytest.param(suffix, marks=pytest.mark.long) for suffix in ("_frame", "_dcls")), "_dcls_frame"]
)
@pytest.mark.slow
def test_vision_networks_of_timm(
    vision: tuple[str, nn.Module],
    suffix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By name and by file; the stem's convolution and learned positions stay random, and all else is theirs."""
    name, model = vision
    asked: list[Any] = []
    monkeypatch.setattr(timm, "create_model", with_asked(asked, model, timm.create_model))
    with caplog.at_level(logging.INFO):
        by_name = start(name, name + suffix).state_dict()
    assert asked == [VISION[name]]
    module = start(saved(model.state_dict(), tmp_path / "m.safetensors"), name + suffix)
    filled, theirs = module.state_dict(), model.state_dict()
    taken = 0
    for key, value in filled.items():
        place = key.replace("layers.4.", "final_conv.").replace("layers.", "stages.")
        if place in theirs and torch.equal(
            theirs[place].sum(-1, keepdim=True) if value.shape[2:] == (2, 1) else theirs[place], value
        ):
            assert torch.equal(by_name[key], value)
            taken += 1
    replaced = sum(len(part.state_dict()) for part in module.modules() if isinstance(part, Positioned))
    assert (replaced > 0) == ("dcls" in suffix)
    assert taken == len(filled) - len(RANDOM[name].split(", ")) - replaced
    assert f"{name}{suffix} starts from {name}: {taken} backbone tensors; left out: head" in caplog.messages[0]
    if not replaced:
        assert caplog.messages[0].endswith(f"; random: {RANDOM[name]}")
    with pytest.raises(CheckpointError, match=rf"^backbone\.init={name} holds {name}, the run's backbone is fmn10$"):
        start(name, "fmn10")


def with_asked(asked: list[Any], model: nn.Module, create: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """timm.create_model without a network: a stand-in for what is pre-trained."""

    def create_model(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if not pretrained:
            return create(name, **options)
        asked.append(name)
        return model

    return create_model


def test_another_vision_network_is_refused(tmp_path: Path) -> None:
    path = saved(timm.create_model("convformer_s18", pretrained=False).state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=rf"^{path}: the weights do not fit: \d+ missing"):
        start(path, "convnext_tiny")
    with pytest.raises(CheckpointError, match=rf"^{path}: the weights do not fit: \d+ missing"):
        start(path, "fmn10")


def test_without_init_nothing_changes() -> None:
    config = BACKBONES.get("fmn04")()
    module = config.build()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    load_initial(module, replace(config, init=None))
    assert_holds(module, before)


def whole(architecture: str = "fmn04+gru-16", classes: tuple[str, ...] = ("dog", "cat"), seed: int = 0) -> SedModel:
    model = es.create_model(architecture, classes=classes)
    model.load_state_dict(randomised(model, seed))
    return model


def released(model: SedModel, path: Path) -> Path:
    """A file as EfficientSED releases them."""
    state = model.state_dict()
    names = {"sequence.": "seq_model.", "classifier.strong.": "strong_head.", "classifier.weak.": "weak_head."}
    spelled = published(
        {
            f"model.fmn.{key.removeprefix('backbone.')}": value
            for key, value in state.items()
            if key.startswith("backbone.")
        }
    )
    for key, value in state.items():
        for own_prefix, prefix in names.items():
            if key.startswith(own_prefix):
                spelled[prefix + key.removeprefix(own_prefix)] = value
    return saved({f"net.{key}": value for key, value in spelled.items()}, path)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("classes", "rest"),
    [(("dog", "cat"), "backbone, sequence head and classifier"), (("cat", "dog"), None), (("a", "b", "c"), None)],
)
def test_a_whole_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, classes: tuple[str, ...], rest: str | None, half: bool
) -> None:
    """The classifier is kept where labels and their order agree."""
    held, path = whole(), tmp_path / "m.safetensors"
    es.save_model(held, path, half=half)
    model = whole(classes=classes, seed=1)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with caplog.at_level(logging.INFO):
        load_initial_model(model, str(path))
    expected = held.state_dict()
    for key, value in model.state_dict().items():
        source = before if rest is None and key.startswith("classifier.") else expected
        torch.testing.assert_close(value, source[key], rtol=2e-3 if half else 0, atol=1e-4 if half else 0, msg=key)
    rest = rest or f"backbone, sequence head; its classifier of 2 classes is left out, that of {len(classes)} is random"
    assert caplog.messages == [f"fmn04+gru-16 starts from {path}: {rest}"]


@pytest.mark.parametrize("architecture", ["fmn04", "fmn04+tf-16"])
def test_a_whole_released_model(tmp_path: Path, architecture: str, caplog: pytest.LogCaptureFixture) -> None:
    held, model = whole(architecture, tuple("abc")), whole(architecture, ("dog",), seed=1)
    path = released(held, tmp_path / "any name.pt")
    with caplog.at_level(logging.INFO):
        load_initial_model(model, str(path))
    assert_holds(model.backbone, held.backbone.state_dict())
    assert_holds(model.sequence, held.sequence.state_dict())
    parts = "backbone" if architecture == "fmn04" else "backbone, sequence head"
    assert caplog.messages == [
        f"{architecture} starts from {path}: {parts}; its classifier of 3 classes is left out, that of 1 is random"
    ]


def test_a_whole_model_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    es.save_model(whole(), path)
    for architecture in ("fmn04+gru-32", "fmn04+tf-16", "fmn06+gru-16", "fmn04"):
        with pytest.raises(CheckpointError, match=rf"^{path}: holds fmn04\+gru-16, not {re.escape(architecture)}$"):
            load_initial_model(whole(architecture), str(path))
    es.save_model(whole("fmn04"), path)
    with pytest.raises(
        CheckpointError, match=rf"^train\.init_from={path} holds fmn04, the run's model is fmn04\+gru-16$"
    ):
        load_initial_model(whole(), str(path))
    with pytest.raises(
        CheckpointError, match=r"^train\.init_from=fmn10_synthetic holds fmn10, the run's model is fmn04\+gru-16$"
    ):
        load_initial_model(whole(), "fmn10_synthetic")
    with pytest.raises(
        CheckpointError, match=r"^train\.init_from=mn04_im is a backbone alone; give it as backbone\.init=mn04_im$"
    ):
        load_initial_model(whole(), "mn04_im")
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/gone\.pt: no such checkpoint file$"):
        load_initial_model(whole(), str(tmp_path / "gone.pt"))


def test_a_whole_model_by_name() -> None:
    """A shipped one; its file is found as load_model finds it."""
    held = es.load_model("fmn04+tf-128_synthetic")
    model = whole("fmn04+tf-128", tuple(held.classes), seed=1)
    load_initial_model(model, "fmn04+tf-128_synthetic")
    assert_holds(model, held.state_dict())
