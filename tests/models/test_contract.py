"""What every registered backbone and sequence head promises; a new part is tested by existing."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache

import pytest
import torch
from rounding import error
from torch import Tensor

from efficient_sed.config._strict import from_dict
from efficient_sed.config.schema import BackboneConfig, SequenceHeadConfig, to_dict
from efficient_sed.models._factory import create_model, settle_norms
from efficient_sed.models._names import parse_name
from efficient_sed.models.contracts import CausalHead, SequenceHead
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

CLASSES = ("bell", "dog", "siren")
IN_DIM = 40
SMALL = "fmn04"
LARGE = 5_000_000  # parameters; larger backbones are run in files of their own, test_transformers.py among them
FRAMES = (37, 100, 1013)


def small_head(name: str) -> SequenceHeadConfig:
    entry = SEQUENCE_HEADS.get(name)
    return entry(hidden=64) if "hidden" in {field.name for field in dataclasses.fields(entry)} else entry()


def create(backbone: str, head: str) -> SedModel:
    """A random model whose BatchNorm knows its input: as initialised, the deep ones give the same output for any input."""
    torch.manual_seed(0)
    return settle_norms(SedModel(ModelSpec(BACKBONES.get(backbone)(), small_head(head), CLASSES)))


@cache
def backbone_size(name: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in BACKBONES.get(name)().build().parameters())


def random_mel(batch: int, frames: int, bins: int = 128) -> Tensor:
    return torch.randn(batch, 1, bins, frames, generator=torch.Generator().manual_seed(frames))


def mel_for(model: SedModel, batch: int, frames: int) -> Tensor:
    """A random spectrogram with as many bins as the model's front end gives."""
    return random_mel(batch, frames, model.frontend.mel_bins)


RUN = [(name, "none") for name in BACKBONES.names() if backbone_size(name) < LARGE] + [(SMALL, head) for head in SEQUENCE_HEADS.names() if head != "none"]
with torch.device("meta"):
    CAUSAL = [name for name in SEQUENCE_HEADS.names() if small_head(name).build(IN_DIM).is_causal]
run_every_part = pytest.mark.parametrize(("backbone", "head"), RUN, ids=["+".join(pair) for pair in RUN])


def test_how_many_were_seen() -> None:
    assert len(BACKBONES.names()) >= 7
    assert len(SEQUENCE_HEADS.names()) >= 12
    assert len(CAUSAL) >= 5
    assert len(RUN) >= 5
    assert {head for _, head in RUN} == set(SEQUENCE_HEADS.names())


@run_every_part
@torch.inference_mode()
def test_any_number_of_frames(backbone: str, head: str) -> None:
    model = create(backbone, head).eval()
    for frames in FRAMES:
        steps = math.ceil(frames / model.grid.stride)
        output = model(mel_for(model, 2, frames))
        assert output.frame_logits.shape == (2, len(CLASSES), steps)
        assert output.clip_logits.shape == (2, len(CLASSES))
        assert torch.isfinite(output.frame_logits).all()
        assert torch.isfinite(output.clip_logits).all()
        for num_samples in ((frames - 1) * model.grid.hop_length + model.grid.first_frame_samples, frames * model.grid.hop_length):
            assert model.grid.num_frames(num_samples) == steps


@run_every_part
@torch.inference_mode()
def test_neighbours_in_a_batch_do_not_matter(backbone: str, head: str) -> None:
    model = create(backbone, head).eval().double()
    mel = mel_for(model, 3, 100).double()
    together = model(mel)
    for index in range(3):
        alone = model(mel[index : index + 1])
        for a, b in zip(alone, together, strict=True):
            assert error(a[0], b[index]) < 1e-9
    assert (together.frame_logits[0] - together.frame_logits[1]).abs().max() > 1e-3 * together.frame_logits.std()


@pytest.mark.parametrize("precision", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.long)], ids=str)
@run_every_part
@torch.inference_mode()
def test_half_precision_and_silence(backbone: str, head: str, precision: torch.dtype) -> None:
    model = create(backbone, head).eval()
    mel = torch.cat([model.frontend(torch.zeros(1, 100 * model.grid.hop_length)), mel_for(model, 1, 100)])
    features = model.backbone(mel)
    full = model.sequence(features)
    with torch.autocast("cpu", precision):
        half, output = model.sequence(features), model(mel)
    for logits in (*model(mel), *output):
        assert torch.isfinite(logits).all()
    assert (half.float() - full).abs().max() < 0.05 * full.abs().max()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", SEQUENCE_HEADS.names())
@torch.inference_mode()
def test_weights_in_half_precision(name: str, precision: torch.dtype) -> None:
    torch.manual_seed(0)
    head, features = small_head(name).build(IN_DIM).eval(), torch.randn(2, 100, IN_DIM)
    full = head(features)
    half = head.to(precision)(features.to(precision))
    assert half.dtype == precision
    assert (half.float() - full).abs().max() < 0.05 * full.abs().max()


@run_every_part
def test_gradients_reach_every_parameter(backbone: str, head: str) -> None:
    model = create(backbone, head).train()
    output = model(mel_for(model, 2, 100))
    (output.frame_logits.square().mean() + output.clip_logits.square().mean()).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not torch.isfinite(value.grad).all() or not value.grad.any()]
    assert not [key for key in without if not key.endswith("rotary.freqs")]


def test_rotary_frequencies_are_fixed() -> None:
    """As in the released models, where they are stored and counted but never trained."""
    model = create_model("fmn04+tf-64", num_classes=2)
    assert [key for key, value in model.named_parameters() if not value.requires_grad] == [f"sequence.blocks.{i}.attention.rotary.freqs" for i in (0, 1)]


@pytest.mark.parametrize("name", BACKBONES.names())
def test_stages_hold_all_parameters(name: str) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get(name)().build()
    in_stages = [parameter for stage in backbone.stages() for parameter in stage.parameters()]
    assert len(in_stages) == len({id(parameter) for parameter in in_stages})
    assert {id(parameter) for parameter in in_stages} == {id(parameter) for parameter in backbone.parameters()}


def test_wrong_spectrogram_is_refused() -> None:
    with pytest.raises(ValueError, match=r"spectrograms of shape \(batch, 1, 128, frames\), got \(2, 1, 64, 100\)"):
        create("fmn04", "none")(torch.zeros(2, 1, 64, 100))


@pytest.mark.parametrize("name", SEQUENCE_HEADS.names())
@torch.inference_mode()
def test_causality_is_told_truly(name: str) -> None:
    torch.manual_seed(0)
    head: SequenceHead = small_head(name).build(IN_DIM).eval().double()
    past, future, other = torch.randn(3, 2, 30, IN_DIM, dtype=torch.float64)
    first, second = head(torch.cat([past, future], 1)), head(torch.cat([past, other], 1))
    assert first.shape == (2, 60, head.out_dim)
    change = (first - second).abs().amax((0, 2))
    assert change[30:].max() > 1e-3
    assert head.is_causal == isinstance(head, CausalHead)
    if head.is_causal:
        assert change[:30].max() < 1e-12
    else:
        assert change[:30].max() > 1e-4


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("chunks", [(1,) * 12, (250, 1, 3, 16)], ids=str)
@torch.inference_mode()
def test_a_stream_equals_the_whole(name: str, chunks: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    head = small_head(name).build(IN_DIM).eval().double()
    assert isinstance(head, CausalHead)
    features = torch.randn(2, sum(chunks), IN_DIM, dtype=torch.float64)
    state, outputs = None, []
    for chunk in features.split(chunks, dim=1):
        output, state = head.stream(chunk, state)
        assert all(len(part) == len(chunk) for part in state)
        outputs.append(output)
    whole = head(features)
    assert error(torch.cat(outputs, dim=1), whole) < 1e-9


CONFIGS: list[BackboneConfig | SequenceHeadConfig] = [registry.get(name)() for registry in (BACKBONES, SEQUENCE_HEADS) for name in registry.names()]


@pytest.mark.parametrize("config", [*CONFIGS, *map(small_head, SEQUENCE_HEADS.names())], ids=lambda config: config.name)
def test_config_as_plain_values(config: BackboneConfig | SequenceHeadConfig) -> None:
    values = json.loads(json.dumps(to_dict(config)))
    assert values["name"] == config.name
    assert from_dict(type(config), values) == config


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
def test_a_model_is_named_by_its_parts(head: str) -> None:
    config = small_head(head)
    for backbone in BACKBONES.names():
        name = f"{backbone}+{head}-{config.hidden}" if hasattr(config, "hidden") else backbone
        parsed = parse_name(f"{name}_tag")
        name = {"erann": "erann-8x4-5"}.get(name, name)  # the system that has its defaults
        assert (parsed.backbone, parsed.seq, parsed.tag) == (BACKBONES.get(backbone)(), config, "tag")
        assert parsed.architecture == name
