"""The transformers of PretrainedSED.

The published numbers from files in the released layout, and what they promise as backbones.

The files in tests/parity/teachers were computed by the published implementation from weights and a waveform
that the rules here make again.
"""

from __future__ import annotations

import json
import logging
import re
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from test_parity import rule_waveform
from torch import Tensor
from torch.nn import functional as F

import efficient_sed as es
from efficient_sed.benchmark.macs import count_macs
from efficient_sed.cli.main import main
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.experiment.checks import check_lengths
from efficient_sed.experiment.compose import compose_run
from efficient_sed.models.backbones._transformer import FrameTransformer, average_to_steps, interpolate_to_steps
from efficient_sed.models.backbones.beats import BeatsBlock, relative_bucket
from efficient_sed.models.backbones.fpasst import PasstEmbedding
from efficient_sed.models.names import model_name
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.models.weights.convert import _architecture_of
from efficient_sed.models.weights.initial import load_initial
from efficient_sed.models.weights.read import load_strictly
from efficient_sed.models.weights.released import rename_released, with_clip_layer
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent.parent / "parity" / "teachers"
FILES = {"beats": "BEATs", "atst_f": "ATST-F", "fpasst": "fpasst", "m2d": "M2D", "asit": "ASIT"}
STAGES = {
    "beats": (30, 19, 19),
    "atst_f": (15, 11, 13),
    "fpasst": (25, 12, 14),
    "m2d": (17, 12, 14),
    "asit": (16, 12, 14),
}  # tensors: first, others, last
BASE_PARAMS = {"beats": 90_311_792, "atst_f": 85_419_264, "fpasst": 88_421_632, "m2d": 85_492_994, "asit": 85_482_240}
OTHER_PREFIX = {
    "beats": ("model.model.", "model.beats."),
    "fpasst": ("model.", "model.fpasst."),
    "m2d": ("model.", "model.m2d."),
    "asit": ("model.", "model.asit."),
}
TOLERANCE = 1e-3
"""Of the references, made in float32 on another CPU: quiet bands are the rounding of a Fourier transform. The front
ends are held to float64 in tests/audio.
"""
by_name = pytest.mark.parametrize("name", FILES)


@cache
def reference(name: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{FILES[name]}.npz") as file:
        return dict(file)


@cache
def layout(name: str) -> dict[str, list[int]]:
    shapes: dict[str, list[int]] = json.loads(str(reference(name)["layout"]))
    return shapes


def rule_tensor(key: str, shape: list[int]) -> Tensor:
    drawn = re.sub(
        r"layers\.\d+(\.self_attn\.relative_attention_bias)", r"layers.0\1", key
    )  # one table in twelve places
    x = np.random.Generator(np.random.PCG64(zlib.crc32(drawn.encode()))).standard_normal(shape).astype(np.float32)
    if key.endswith(("pos_embed", "cls_token", "dist_token", "mask_embed")):
        x = 0.5 * x
    elif len(shape) <= 1:
        x = 0.02 * x if "bias" in key else 1 + 0.1 * x
    elif key.endswith("original0"):
        x = 0.5 + 0.05 * x
    else:
        gain = (
            4
            if "patch_embed" in key
            else 0.5
            if key.endswith(("out_proj.weight", "attn.proj.weight", "fc2.weight"))
            else 1.4
        )
        x = x * np.float32(gain / np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(x.astype(np.float32))


def mark(key: str) -> float:
    """A number for each released tensor."""
    return zlib.crc32(re.sub(r"layers\.\d+(\.self_attn\.relative)", r"layers.0\1", key).encode()) / 2**32


def marked(name: str) -> dict[str, Tensor]:
    """The released layout in a file of a few kilobytes: each tensor is one number in all places."""
    return {key: torch.tensor(mark(key)).expand(shape) for key, shape in layout(name).items()}


def without_heads(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if "_head." not in key}


def saved(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


class Loaded(NamedTuple):
    name: str
    model: SedModel


@pytest.fixture(scope="module", params=FILES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """One after the other: the model that the card's name loads."""
    name = request.param
    home = tmp_path_factory.mktemp(name)
    path = saved(
        {key: rule_tensor(key, shape) for key, shape in layout(name).items()}, home / f"{FILES[name]}_strong_1.pt"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFICIENT_SED_HOME", str(home))
        model = es.load_model(f"{name}_strong")
    path.unlink()  # 0.4 GB
    return Loaded(name, model)


@torch.inference_mode()
def test_released_layout(loaded: Loaded) -> None:
    name, model = loaded
    expected = reference(name)
    assert not model.training
    assert sum(parameter.numel() for parameter in model.parameters()) == int(expected["params"])
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) == BASE_PARAMS[name]
    assert (model.provenance.task, model.provenance.notes["released_as"]) == ("detection", f"{name}_strong")
    assert model.classes == es.create_model("fmn04", num_classes=447).classes
    mel = model.frontend(rule_waveform())
    assert mel.shape == (1, 1, expected["mel_shape"][2], 1000)
    frames = min(1000, int(expected["mel_shape"][3]))
    theirs = expected["mel"][:, : (frames + 9) // 10]
    difference = np.abs(mel[0, 0, ::4, :frames:10].numpy() - theirs)
    assert (difference > 5e-5).sum() <= (
        2 if name == "asit" else 0
    )  # its quietest values are the rounding of a Fourier transform
    assert difference.max() < TOLERANCE
    assert isinstance(model.backbone, FrameTransformer)
    tokens = model.backbone.tokens(mel)
    assert tokens.shape == tuple(expected["seq_shape"])
    assert np.abs(tokens[0, ::8, ::32].numpy() - expected["seq"]).max() < TOLERANCE
    output = model(mel)
    assert output.frame_logits.shape == (1, 447, 250)
    assert np.abs(output.frame_logits[0, ::29].numpy() - expected["strong"]).max() < TOLERANCE
    assert np.abs(output.clip_logits[0].numpy() - expected["weak"]).max() < TOLERANCE
    assert float(output.frame_logits.mean()) == pytest.approx(float(expected["strong_mean"]), abs=TOLERANCE)
    assert float(output.frame_logits.std()) == pytest.approx(float(expected["strong_std"]), abs=TOLERANCE)


@torch.inference_mode()
def test_short_clips(loaded: Loaded) -> None:
    model = loaded.model
    for samples in (model.frontend.min_samples, 5_000, 16_000, 59_200):
        mel = model.frontend(rule_waveform()[:, 40_000 : 40_000 + samples])
        output = model(mel)
        assert output.frame_logits.shape == (1, 447, model.grid.num_frames(samples))
        assert all(torch.isfinite(logits).all() for logits in output)
    for frames in (1, 15, 16, 17, 37):
        assert model.backbone(torch.randn(2, 1, model.frontend.mel_bins, frames)).shape == (
            2,
            (frames + 3) // 4,
            model.backbone.out_dim,
        )


@torch.inference_mode()
def test_longer_than_ten_seconds(loaded: Loaded) -> None:
    """M2D takes pieces that do not know of each other.

    For the others positions end, which a run says before it starts.
    """
    name, model = loaded
    config = compose_run(
        [f"backbone={name}", "data.clip_seconds=12", "data=synthetic", "train.augment.mel_jitter=false"]
    )
    mel = torch.randn(1, 1, model.frontend.mel_bins, 1005)
    if name == "m2d":
        check_lengths(model, config)
        together = model.backbone(mel)
        assert together.shape == (1, 252, 3840)
        torch.testing.assert_close(
            together, torch.cat([model.backbone(mel[..., :1000]), model.backbone(mel[..., 1000:])], 1)
        )
        return
    with pytest.raises(
        ConfigError, match=rf"^data\.clip_seconds=12\.0 is not allowed: at most 10 s with backbone={name}$"
    ):
        check_lengths(model, config)
    with pytest.raises(
        ValueError,
        match=rf"^{name} takes spectrograms of shape .* with at most 1000 frames, got \(1, 1, {mel.shape[2]}, 1005\)$",
    ):
        model.backbone(mel)
    with pytest.raises(ValueError, match="got"):
        model.backbone(mel[:, :, :40])


@torch.inference_mode()
def test_neighbours_silence_and_half_precision(loaded: Loaded) -> None:
    model = loaded.model
    mel = torch.cat([model.frontend(torch.zeros(1, 16_000)), model.frontend(rule_waveform()[:, 40_000:56_000])])
    together = model(mel)
    for index in range(2):
        for a, b in zip(model(mel[index : index + 1]), together, strict=True):
            assert (a[0] - b[index]).abs().max() <= 1e-4
    for fused, plain in zip(es.fuse(model)(mel), together, strict=True):
        assert (fused - plain).abs().max() <= 1e-4
    with torch.autocast("cpu", torch.bfloat16):
        half = model(mel)
    for a, b in zip(half, together, strict=True):
        assert torch.isfinite(a).all()
        assert (a.float() - b).abs().max() < 0.2 * b.abs().max()


def test_gradients_reach_every_parameter(loaded: Loaded) -> None:
    name, model = loaded
    try:
        output = model(model.frontend(rule_waveform()[:, 40_000:56_000]))
        (output.frame_logits.square().mean() + output.clip_logits.square().mean()).backward()
        without = {key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()}
        assert without == {"atst_f": {"backbone.embedding.mask_embed"}, "m2d": {"backbone.embedding.norm_stats"}}.get(
            name, set()
        )
        assert without == {key for key, value in model.named_parameters() if not value.requires_grad}
    finally:
        model.zero_grad()


@by_name
def test_costs_are_those_published(name: str) -> None:
    """Of 10 s, heads included; of BEATs there is also the last sample of a convolution, which is dropped."""
    with torch.device("meta"):
        model = es.create_model(name, num_classes=447)
    sizes = [len(list(stage.parameters())) for stage in model.backbone.stages()]
    assert sizes == [STAGES[name][0], *[STAGES[name][1]] * 10, STAGES[name][2]]
    model.frontend.to_empty(device="cpu")
    model.classifier.to_empty(device="cpu")
    model.backbone.register_forward_pre_hook(lambda _, inputs: inputs[0].to("meta"))
    model.backbone.register_forward_hook(lambda _, __, features: torch.zeros(features.shape))
    assert count_macs(model).total == int(reference(name)["macs_10s"]) - (768 * 48 * 128 if name == "beats" else 0)


# --- steps ---


@pytest.mark.parametrize(("clip_tokens", "mode"), [(496, "mean"), (497, "mean"), (62, "linear")])
def test_ten_seconds_are_pooled_as_published_and_shorter_clips_as_their_beginning(clip_tokens: int, mode: str) -> None:
    tokens = torch.randn(2, clip_tokens, 3)
    to_steps = average_to_steps if mode == "mean" else interpolate_to_steps
    steps = to_steps(tokens, 250, clip_tokens)
    expected = (
        F.adaptive_avg_pool1d(tokens.transpose(1, 2), 250)
        if mode == "mean"
        else F.interpolate(tokens.transpose(1, 2), 250, mode="linear")
    )
    torch.testing.assert_close(steps, expected.transpose(1, 2))
    for frames in (16, 160, 592):
        length = (
            clip_tokens // 62 * frames + 15
        ) // 16 + clip_tokens % 62 % 8  # a token of the clip, and those of each column
        shorter = to_steps(tokens[:, :length], frames // 4, clip_tokens)
        assert shorter.shape == (2, frames // 4, 3)
        torch.testing.assert_close(shorter[:, :-4], steps[:, : frames // 4 - 4])


def test_a_benchmark_of_longer_clips_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "atst_f", "--seconds", "11"]) == 2
    assert (
        capsys.readouterr().err == "efficient-sed: --seconds 11.0 is not allowed: at most 10 s with backbone=atst_f\n"
    )


def test_distances_share_rows_of_the_table() -> None:
    distances = torch.tensor([-900, -800, -200, -100, -81, -80, -79, -1, 0, 1, 79, 80, 81, 200, 800])
    assert relative_bucket(distances).tolist() == [159, 159, 111, 87, 80, 80, 79, 1, 0, 161, 239, 240, 240, 271, 319]


def test_layers_and_features_of_beats_are_dropped_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch's generator: what is seeded can be repeated."""
    backbone = BACKBONES.get("beats")().build()
    ran = []

    def run(block: BeatsBlock, x: Tensor, _: Tensor) -> Tensor:
        ran.append(block)
        return x

    monkeypatch.setattr(BeatsBlock, "forward", run)
    mel = torch.randn(1, 1, 128, 16)
    passes = []
    for is_training in (True, True, False):
        torch.manual_seed(1)
        backbone.train(is_training)
        ran.clear()
        passes.append((torch.stack([backbone(mel) for _ in range(20)]), len(ran)))
    (first, first_ran), (second, second_ran), (evaluated, evaluated_ran) = passes
    assert torch.equal(first, second)
    assert first_ran == second_ran
    assert 210 < first_ran < 240  # each is left out with a probability of 5 %
    assert evaluated_ran == 240
    assert torch.equal(evaluated[0], evaluated[1])
    assert not torch.equal(first[0], first[1])


@torch.inference_mode()
def test_a_short_clip_has_positions_anywhere_in_training() -> None:
    """Those of fPaSST: the first ones in evaluation, any neighbours while it learns."""
    embedding, mel = PasstEmbedding(), torch.zeros(1, 1, 128, 40)
    torch.nn.init.zeros_(embedding.patch_embed.weight)
    starts = set()
    for _ in range(30):
        tokens = embedding.train()(mel)[0, 2:] - embedding.freq_new_pos_embed[0, :, 0].T  # its bias is zero
        table = embedding.time_new_pos_embed[0, :, 0].T
        (start,) = [index for index in range(241) if torch.allclose(tokens, table[index : index + 10], atol=1e-6)]
        starts.add(start)
    assert len(starts) > 20
    torch.testing.assert_close(embedding.eval()(mel)[0, 2:] - embedding.freq_new_pos_embed[0, :, 0].T, table[:10])


# --- files ---


def test_every_file_has_a_card() -> None:
    cards = {name: card for name, card in list_cards().items() if card.architecture in FILES}
    assert len(cards) == 15
    for name, file in FILES.items():
        for tag, ending in (("ssl", "ssl"), ("weak", "weak"), ("strong", "strong_1")):
            assert cards[f"{name}_{tag}"].file == f"{file}_{ending}.pt"
            assert _architecture_of(Path(f"folder/{file}_{ending}.pt")) == name


def assert_marked(backbone: torch.nn.Module, state: dict[str, Tensor]) -> None:
    """Every tensor of the file is somewhere, once, and a block's in that block."""
    numbers = sorted(
        mark(key)
        for key in state
        if "to_spec" not in key and not re.search(r"layers\.([1-9]|1[01])\.self_attn\.relative", key)
    )
    found = {key: float(value.flatten()[0]) for key, value in backbone.state_dict().items()}
    assert sorted(found.values()) == pytest.approx(numbers, abs=1e-7)
    for block in range(12):
        theirs = {
            mark(key) for key in state if re.search(rf"\.(blocks|layers)\.{block}\.", key) and "relative" not in key
        }
        ours = {value for key, value in found.items() if key.startswith(f"blocks.{block}.")}
        assert sorted(ours) == pytest.approx(sorted(theirs), abs=1e-7)


@by_name
@pytest.mark.parametrize("tag", ["ssl", pytest.param("weak", marks=pytest.mark.long)])
def test_starting_points(
    name: str, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file of either kind has the backbone.

    Whatever classifier a tagger left in it is not taken, which the log says.
    """
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path))
    state = without_heads(marked(name))
    heads = (
        {"weak_head.weight": torch.zeros(527, layout(name)["weak_head.weight"][1]), "weak_head.bias": torch.zeros(527)}
        if tag == "weak"
        else {}
    )
    path = saved(state | heads, tmp_path / f"{FILES[name]}_{tag}.pt")
    config = replace(BACKBONES.get(name)(), init=tag)
    with torch.device("meta"):
        backbone = config.build()
    backbone.to_empty(device="cpu")
    with caplog.at_level(logging.INFO):
        load_initial(backbone, config)
    assert_marked(backbone, state)
    assert caplog.messages == [
        f"{name} starts from {path}: {len(backbone.state_dict())} backbone tensors; left out: "
        f"{'classifier (2)' if heads else 'nothing'}"
    ]
    with pytest.raises(
        CheckpointError,
        match=rf"'{name}_{tag}' is a starting point for training, not a model: use it as backbone\.init={name}_{tag}$",
    ):
        es.load_model(f"{name}_{tag}")
    with pytest.raises(
        CheckpointError,
        match=(
            r"holds no classifier \(strong_head\.bias\); "
            rf"a training starts from its backbone with backbone\.init={path}$"
        ),
    ):
        es.load_model(name, checkpoint=path)


@by_name
def test_a_file_that_a_user_saved(name: str) -> None:
    """In the names of the published loader, with its other tensors, and torch's older names of weight normalisation."""
    released, loaded = OTHER_PREFIX.get(name, ("", ""))
    state = {key if "_head." in key else key.replace(released, loaded, 1): value for key, value in marked(name).items()}
    state = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in state.items()
    }
    assert (state.keys() != layout(name).keys()) == (name != "atst_f")
    if name == "atst_f":
        state |= {
            "model.atst_mel.mel_transform.mel_scale.fb": torch.zeros(513, 64),
            "model.atst_mel.mel_transform.spectrogram.window": torch.zeros(1024),
        }
    spec = ModelSpec(BACKBONES.get(name)(), SEQUENCE_HEADS.get("none")(), ())
    own, theirs = rename_released(state, spec), rename_released(marked(name), spec)
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[key], theirs[key]) for key in own)
    with torch.device("meta"):
        model = es.create_model(name, num_classes=447)
    load_strictly(model.to_empty(device="cpu"), own, "mine.pt")


def test_the_clip_layer_is_optional(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ATST-F_strong_1.pt"
    state = {key: value for key, value in marked("atst_f").items() if "weak_head" not in key}
    end = "the model's, for 447 classes, is random: count on frame logits alone"
    model = es.load_model(str(saved(state, path)))
    assert caplog.messages == [f"{path}: has no clip layer; {end}"]
    assert float(model.state_dict()["classifier.strong.bias"][0]) == pytest.approx(mark("strong_head.bias"))
    assert model.provenance.notes["named_like"] == "atst_f_strong"
    caplog.clear()
    strong = rename_released(state, model.spec)
    others = {"classifier.weak.weight": torch.zeros(527, 768), "classifier.weak.bias": torch.zeros(527)}
    assert with_clip_layer(strong | others, model, path).keys() == model.state_dict().keys()
    assert caplog.messages == [f"{path}: its clip layer for 527 classes is left out; {end}"]
    for damaged in (
        {"classifier.weak.weight": torch.zeros(447, 768)},
        {"classifier.weak.weight": torch.zeros(447, 512), "classifier.weak.bias": torch.zeros(447)},
    ):
        with pytest.raises(CheckpointError, match=r"the weights do not fit: .*classifier\.weak"):
            load_strictly(model, with_clip_layer(strong | damaged, model, path), path)
    del strong["backbone.norm.bias"]
    with pytest.raises(CheckpointError, match=r"the weights do not fit: 1 missing, first backbone\.norm\.bias$"):
        load_strictly(model, with_clip_layer(strong, model, path), path)


@by_name
def test_a_file_of_another_one(name: str, tmp_path: Path) -> None:
    names = list(FILES)
    other = names[(names.index(name) + 1) % len(names)]
    path = saved(marked(name), tmp_path / "teacher.pt")
    if name == "beats":
        with pytest.raises(CheckpointError) as caught:
            es.load_model(other, checkpoint=path)
        assert str(caught.value) == f"{path}: holds {name}, not {other}"
    config = replace(BACKBONES.get(other)(), init=str(path))
    with torch.device("meta"):
        backbone = config.build()
    with pytest.raises(CheckpointError, match=rf"^backbone\.init={path} holds {name}, the run's backbone is {other}$"):
        load_initial(backbone, config)


def test_with_a_head(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(marked("atst_f"), tmp_path / "ATST-F_strong_1.pt")
    model = es.load_model("atst_f+tf-64", checkpoint=path, num_classes=10)
    assert caplog.messages == [
        f"{path}: only its backbone is taken: the head tf and the classifier are random (447 classes in the file, "
        "10 in the model)"
    ]
    assert (len(model.classes), model.classifier.strong.in_features) == (10, 64)  # type: ignore[union-attr]


@by_name
def test_parts_of_a_sweep(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [
        f"backbone={name}",
        "seq=tf",
        "seq.hidden=256",
        *([] if name == "fpasst" else ["train.augment.mel_jitter=false"]),
    ]
    assert model_name(compose_run(typed)) == f"{name}+tf-256"
    with torch.device("meta"):
        assert len(es.create_model(f"{name}+tf-256", num_classes=10).classes) == 10
    assert main(["models", f"{name}+tf-256", "--composable"]) == 0
    assert f"{name}+tf-256" in capsys.readouterr().out
