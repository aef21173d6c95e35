"""Published systems: their names, parts and exact numbers of parameters, and other heads on their backbones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from rounding import assert_rounds_like
from test_contract import CLASSES, create, mel_for

import efficient_sed as es
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.frontier.published import read_published_models
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.names import architecture_name, model_name, model_overrides, parse_name
from efficient_sed.models.sequence.dilated import DilatedConfig, DilatedHead, Join
from efficient_sed.models.systems import SYSTEMS
from efficient_sed.registry import SEQUENCE_HEADS

TABLE1 = {row.model: int(row.complexity["params"]) for row in read_published_models("dnd_sed_table1")}
SHORT = "dnd-dnd-k3-d1"


ERANN = {row.model: int(row.complexity["params"]) for row in read_published_models("erann_audioset")}
SAME_PARTS = {  # trained on excerpts of another length
    **dict.fromkeys(("erann-4x4-6", "erann-10x4-6", "erann-3x4-6"), "erann-8x4-6"),
    **{f"erann-{crop}x{shape}": f"erann-8x{shape}" for crop in (3, 4) for shape in ("4-4", "4-5", "1-6", "2-6")},
    **{f"erann-3x{shape}": f"erann-4x{shape}" for shape in ("2-3", "1-4", "2-4")},
}


def count(name: str, num_classes: int = 16) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in es.create_model(name, num_classes=num_classes).parameters())


def test_erann_to_the_parameter() -> None:
    assert len(ERANN) == 8
    assert {name: count(name, 527) for name in ERANN} == ERANN
    transferred = {row.model for row in read_published_models("erann_transfer")}
    assert {name for name in SYSTEMS if name.startswith("erann-")} == set(ERANN) | transferred


def test_table_1_to_the_parameter() -> None:
    assert len(TABLE1) == 26
    assert {name: count(name) for name in TABLE1} == TABLE1
    assert {name for name in SYSTEMS if name.startswith("dnd-")} == set(TABLE1)


def test_the_replication_by_hand() -> None:
    """The report prints 3.7 M for plain convolutions and 0.5 M for Keras's separable ones, without norms in between."""
    plain, separable = TABLE1["dnd-base"], TABLE1["dnd-dws"]
    gru = 3 * 256 * (256 + 256 + 2) + 257 * 16
    conv, head = 256 * (9 + 1) + 2 * 256, lambda width: (256 * width + 1) * 16
    thinned = 256 * 257
    expected = {
        "baseline": plain,
        "dilated": plain - gru + conv + thinned + head(85),
        "dessed": separable,
        "conv1x1": separable - gru + conv + thinned + head(85),
        "maxpool": separable - gru + conv + head(84),
        "mono-baseline": plain,
        "mono-proposed": separable - gru + conv + head(1),
    }
    assert {name: count(f"prinzivalle-{name}") for name in expected} == expected
    assert {name for name in SYSTEMS if name.startswith("prinzivalle-")} == {f"prinzivalle-{name}" for name in expected}


@pytest.mark.parametrize("name", SYSTEMS)
def test_names_there_and_back(name: str) -> None:
    parsed, architecture = parse_name(name), SAME_PARTS.get(name, name)
    assert architecture_name(parsed.backbone, parsed.seq) == parsed.architecture == architecture
    assert architecture_name(parsed.backbone, parsed.seq, SYSTEMS[name].get("train.crop_seconds")) == name
    tagged = parse_name(f"{name}_own-tag")
    assert (tagged.backbone, tagged.seq, tagged.tag) == (parsed.backbone, parsed.seq, "own-tag")
    assert architecture_name(dataclasses.replace(parsed.backbone, init="file.pt"), parsed.seq) == architecture
    other = {"width": 7} if name.startswith("erann") else {"dropout": 0.5}
    assert architecture_name(dataclasses.replace(parsed.backbone, **other), parsed.seq).split("_")[0].split("+")[0] in (
        "crnn",
        "erann",
    )


def test_a_run_is_named_by_its_excerpts_too() -> None:
    """They tell two rows of ERANN's table from a third; a length that none of them has is no published system."""
    for name, seconds in (("erann-8x4-6", 8.0), ("erann-4x4-6", 4.0), ("erann-10x4-6", 10.0)):
        config = compose_run([f"model={name}", "train.augment.mel_jitter=false"])
        assert (model_name(config), config.train.crop_seconds) == (name, seconds)
    assert (
        model_name(compose_run(["model=erann-4x4-6", "train.crop_seconds=7", "train.augment.mel_jitter=false"]))
        == "erann"
    )
    with pytest.raises(ConfigError, match=r"a training takes an architecture, model=erann-4x4-6$"):
        compose_run(["model=erann-4x4-6_mine"])


@pytest.mark.parametrize("name", ["dnd-dws", "dnd-dil-k5-d100", "prinzivalle-maxpool", "prinzivalle-mono-baseline"])
def test_a_run_by_name(name: str) -> None:
    parsed, config = parse_name(name), compose_run([f"model={name}", "train.augment.mel_jitter=false"])
    assert (config.backbone, config.seq, model_name(config)) == (parsed.backbone, parsed.seq, name)


def test_other_models_by_name() -> None:
    assert model_overrides("fmn04") == ["backbone=fmn04", "seq=none"]
    assert model_overrides("crnn_dws+tf-64") == ["backbone=crnn_dws", "seq=tf", "seq.hidden=64"]
    assert model_name(compose_run(["model=fmn10+gru-128"])) == "fmn10+gru-128"
    config = compose_run(["model=dnd-dnd-k3-d10", "seq.dilation=20", "train.augment.mel_jitter=false"])
    assert (config.seq.name, config.seq.dilation, model_name(config)) == ("dilated", 20, "crnn_dws+dilated-256")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dnd-dnd-k3-d11", "no system 'dnd-dnd-k3-d11'; did you mean 'dnd-dnd-k3-d1'?"),
        ("dnd-bas", "no system 'dnd-bas'; did you mean 'dnd-base'?"),
        ("dnd-base+tf-64", "'dnd-base+tf-64' is not a model name: a model is named"),
        ("crnn_dsw", "unknown backbone"),
        ("crnn_dws+dilatd-256", "did you mean 'dilated'?"),
        ("", "'' is not a model name"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_name(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [SHORT, "prinzivalle-mono-proposed", "dnd-dws"])
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    model = es.create_model(name, num_classes=3).eval()
    waveform = torch.randn(1, model.grid.sample_rate // 2, generator=torch.Generator().manual_seed(0))
    es.save_model(model, tmp_path / "a.safetensors")
    again = es.load_model(str(tmp_path / "a.safetensors")).eval()
    assert again.spec == model.spec
    assert again.grid == model.grid
    with torch.inference_mode():
        mel = model.frontend(waveform)
        for ours, theirs in zip(again(again.frontend(waveform)), model(mel), strict=True):
            assert torch.equal(ours, theirs)
        frames, clip = model(mel)
    assert frames.shape == (1, 3, model.grid.num_frames(waveform.shape[1]))
    torch.testing.assert_close(clip, frames.mean(2))


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
@torch.inference_mode()
def test_every_head_on_the_backbone_of_dnd_sed(head: str) -> None:
    model = create("crnn_dws", head).eval()
    frames, clip = model(mel_for(model, 2, 37))
    assert frames.shape == (2, len(CLASSES), 37)
    assert torch.isfinite(frames).all()
    torch.testing.assert_close(clip, frames.mean(2))
    fused, mel = es.fuse(model), mel_for(model, 2, 37)
    assert_rounds_like(frames, fused(mel).frame_logits, model.double()(mel.double()).frame_logits)


@pytest.mark.parametrize("join", ["stride", "conv1x1", "maxpool", "mean"])
def test_the_dilated_convolution_by_hand(join: Join) -> None:
    """Five taps in time, two steps apart, and five neighbouring features, one output at a time."""
    torch.manual_seed(0)
    head = DilatedConfig(hidden=14, channels=3, kernel=5, dilation=2, join=join).build(14).eval()
    assert isinstance(head, DilatedHead)
    features = torch.randn(1, 9, 14)
    padded = torch.nn.functional.pad(features[0], (0, 0, 4, 4))
    stride = 2 if join == "stride" else 1
    image = torch.zeros(3, 9, (14 - 5) // stride + 1)
    for c in range(3):
        for t in range(9):
            for f in range(image.shape[2]):
                image[c, t, f] = (
                    padded[t : t + 9 : 2, f * stride : f * stride + 5] * head.conv.weight[c, 0]
                ).sum() + head.conv.bias[c]  # type: ignore[index]
    image = image.relu() / (1 + head.norm.eps) ** 0.5
    if join == "conv1x1":
        image = (
            torch.einsum("dc,ctf->dtf", head.join.weight[:, :, 0, 0], image[:, :, ::3]) + head.join.bias[:, None, None]
        )  # type: ignore[index]
    elif join == "maxpool":
        image = image[:, :, :9].unflatten(2, (3, 3)).amax(-1)
    elif join == "mean":
        image = image.mean(2, keepdim=True)
    with torch.inference_mode():
        output = head(features)
    assert head.out_dim == output.shape[2] == 3 * image.shape[2]
    torch.testing.assert_close(output[0], image.transpose(0, 1).flatten(1).detach())


def test_a_random_model_hears_once_its_norms_are_settled() -> None:
    """As initialised, fmn gives the same scores for any sound, so that a comparison would show nothing."""
    model = es.create_model("fmn04", num_classes=3).eval()
    momenta = [module.momentum for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert settle_norms(model) is model
    assert not model.training
    assert [module.momentum for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)] == momenta
    with torch.inference_mode():
        quiet, loud = (
            model(level * torch.randn(1, 1, 128, 100, generator=torch.Generator().manual_seed(1))).frame_logits
            for level in (0.1, 1.0)
        )
    assert (quiet - loud).abs().mean() > 0.01 * loud.abs().mean()
