"""What every registered backbone and sequence head promises; a new part is tested by existing."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from rounding import error
from torch import Tensor

from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.model import BackboneConfig, SequenceHeadConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.config.values import to_dict
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import DataError
from efficient_sed.models.contracts import Backbone, CausalHead, SequenceHead
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.fuse import MicroBatches
from efficient_sed.models.names import parse_name
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training.callbacks import AveragedWeights
from efficient_sed.training.module import SedModule
from efficient_sed.training.optim import parameter_groups

CLASSES = ("bell", "dog", "siren")
IN_DIM = 40
SMALL = "fmn04"
LARGE = 5_000_000  # parameters; larger backbones are run in files of their own, test_transformers.py among them
FRAMES = (37, 100, 1013)


def small_head(name: str) -> SequenceHeadConfig:
    entry = SEQUENCE_HEADS.get(name)
    return entry(hidden=64) if "hidden" in {field.name for field in dataclasses.fields(entry)} else entry()


def create(backbone: str, head: str) -> SedModel:
    """A random model whose BatchNorm has statistics of noise; see `settle_norms`."""
    torch.manual_seed(0)
    return settle_norms(SedModel(ModelSpec(BACKBONES.get(backbone)(), small_head(head), CLASSES)))


@cache
def on_meta(name: str) -> Backbone:
    with torch.device("meta"):
        return BACKBONES.get(name)().build()


@cache
def backbone_size(name: str) -> int:
    return sum(p.numel() for p in on_meta(name).parameters())


def random_mel(batch: int, frames: int, bins: int = 128) -> Tensor:
    return torch.randn(batch, 1, bins, frames, generator=torch.Generator().manual_seed(frames))


def mel_for(model: SedModel, batch: int, frames: int) -> Tensor:
    """A random spectrogram with as many bins as the model's front end gives."""
    return random_mel(batch, frames, model.frontend.mel_bins)


def of_families(names: list[str]) -> list[str]:
    """Of backbones that differ in a size alone the smallest, and all others."""
    smallest: dict[type, str] = {}
    for name in sorted(names, key=backbone_size):
        entry = BACKBONES.get(name)
        smallest.setdefault(entry if entry.__base__ is BackboneConfig else entry.__base__, name)
    return sorted(smallest.values())


RUN = [(name, "none") for name in of_families(BACKBONES.names()) if backbone_size(name) < LARGE] + [
    (SMALL, head) for head in SEQUENCE_HEADS.names() if head != "none"
]
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
        for num_samples in (
            (frames - 1) * model.grid.hop_length + model.grid.first_frame_samples,
            frames * model.grid.hop_length,
        ):
            assert model.grid.num_frames(num_samples) == steps


@run_every_part
@torch.inference_mode()
def test_neighbours_in_a_batch_do_not_matter(backbone: str, head: str) -> None:
    model = create(backbone, head).eval().double()
    mel = mel_for(model, 3, 40).double()
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
    without = [
        key
        for key, value in model.named_parameters()
        if value.grad is None or not torch.isfinite(value.grad).all() or not value.grad.any()
    ]
    assert not [key for key in without if not key.endswith("rotary.freqs")]


def test_rotary_frequencies_are_fixed() -> None:
    """As in the released models, where they are stored and counted but never trained."""
    module, fixed = trained_module("crnn_cnn", "tf")
    assert fixed == {f"sequence.blocks.{i}.attention.rotary.freqs" for i in (0, 1)}
    assert {key for key, value in module.model.named_parameters() if not value.requires_grad} == fixed


def test_a_moving_average() -> None:
    module = pl.LightningModule()
    module.fixed = torch.nn.Parameter(torch.rand(1000), requires_grad=False)
    module.trained, fixed = torch.nn.Parameter(torch.rand(1000)), module.fixed.clone()
    averaged = AveragedWeights(0.9)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")), global_step=0)
    averaged.setup(trainer, module, "fit")  # type: ignore[arg-type]
    expected = torch.zeros(1000)
    for step, is_new in ((1, True), (1, False), (2, True), (3, True), (3, False)):  # two batches may make a step
        with torch.no_grad():
            module.trained.add_(torch.rand(1000))
        trainer.global_step = step
        averaged.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
        if is_new:
            expected = module.trained.detach().clone() if step == 1 else 0.9 * expected + 0.1 * module.trained.detach()
    assert averaged._average_model is not None
    torch.testing.assert_close(averaged._average_model.module.trained.detach(), expected)
    assert torch.equal(averaged._average_model.module.fixed, fixed)


def trained_module(backbone: str, head: str) -> tuple[SedModule, set[str]]:
    """A module without weights that is to be trained, and the parameters that its networks declare fixed."""
    config = BACKBONES.get(backbone)()
    run = RunConfig(
        config,
        small_head(head),
        SyntheticConfig(),
        TrainConfig(augment=AugmentConfig(mel_jitter=config.has_mel_jitter)),
    )
    with torch.device("meta"):
        model = SedModel(ModelSpec(config, run.seq, CLASSES))
    fixed = {key for key, value in model.named_parameters() if not value.requires_grad}
    return SedModule(model, run), fixed


@pytest.mark.parametrize("name", BACKBONES.names())
def test_stages_hold_all_parameters(name: str) -> None:
    """Those are trained that are not declared fixed."""
    module, fixed = trained_module(name, "none")
    backbone = module.model.backbone
    in_stages = [parameter for stage in backbone.stages() for parameter in stage.parameters()]
    assert len(in_stages) == len({id(parameter) for parameter in in_stages})
    assert {id(parameter) for parameter in in_stages} == {id(parameter) for parameter in backbone.parameters()}
    trained = {id(value) for group in parameter_groups(module.model, module.config.train) for value in group["params"]}
    assert trained == {id(value) for key, value in module.model.named_parameters() if key not in fixed}
    assert fixed == {"atst_f": {"backbone.embedding.mask_embed"}, "m2d": {"backbone.embedding.norm_stats"}}.get(
        name, set()
    )


WRONG_SAMPLES: dict[str, tuple[Callable[[Tensor], object], type[Exception], str]] = {
    "16 bits": (lambda x: (x * 32767).short(), TypeError, "got int16; scale them by x / 32768$"),
    "32 bits": (lambda x: (x * 32767).int(), TypeError, "got int32; scale them by x / 2147483648$"),
    "numpy": (lambda x: x.numpy(), TypeError, r"torch\.Tensor .*, got numpy\.ndarray; give torch\.from_numpy\(x\)$"),
    "list": (lambda x: x.tolist(), TypeError, "got list$"),
    "complex": (lambda x: x.to(torch.complex64), TypeError, "got complex64$"),
    "no batch": (lambda x: x[0], DataError, r"got \(\d+,\); x\[None\] is a batch of one clip$"),
    "channels": (lambda x: x[:, None], DataError, r"got \(2, 1, \d+\); x\.mean\(1\) is the mean over channels$"),
    "frames first": (lambda x: x.T, DataError, r"with at least \d+ samples, got \(\d+, 2\)$"),
    "no clip": (lambda x: x[:0], DataError, r"got \(0, \d+\)$"),
    "no samples": (lambda x: x[:, :0], DataError, r"got \(2, 0\)$"),
}
WRONG_SPECTROGRAMS: dict[str, tuple[Callable[[Tensor], object], type[Exception], str]] = {
    "numpy": (lambda mel: mel.numpy(), TypeError, r"as model\.frontend\(waveform\) gives them, got ndarray$"),
    "whole numbers": (lambda mel: mel.long(), TypeError, r"got torch\.int64$"),
    "samples": (lambda mel: mel[:, 0, 0], DataError, r"got \(2, \d+\); give model\(model\.frontend\(waveform\)\)$"),
    "no channel": (lambda mel: mel[:, 0], DataError, r"mel\[:, None\] has the second dimension$"),
    "two channels": (lambda mel: mel.expand(-1, 2, -1, -1), DataError, r"got \(2, 2, \d+, \d+\)$"),
    "bins": (lambda mel: mel[:, :, 1:], DataError, r"frames\).*, got \(2, 1, \d+, \d+\)$"),
    "turned": (lambda mel: mel.transpose(2, 3)[..., :1000], DataError, r"got \(2, 1, \d+, \d+\)$"),
    "no frames": (lambda mel: mel[..., :0], DataError, r"got \(2, 1, \d+, 0\)$"),
    "no clip": (lambda mel: mel[:0], DataError, r"got \(0, 1, \d+, \d+\)$"),
}


@pytest.mark.parametrize("name", BACKBONES.names())
def test_wrong_input_is_refused(name: str) -> None:
    """By every front end and backbone, fused ones too; other floating-point types are taken for float32."""
    config, backbone = BACKBONES.get(name)(), on_meta(name)
    with torch.device("meta"):
        frontend = config.build_frontend()
    waveform = torch.linspace(-0.5, 0.5, 200 * frontend.hop_length).repeat(2, 1)
    for change, kind, message in WRONG_SAMPLES.values():
        with pytest.raises(kind, match=message):
            frontend(change(waveform))
    for network in (backbone, MicroBatches(backbone)):
        for change, kind, message in WRONG_SPECTROGRAMS.values():
            with pytest.raises(kind, match=message):
                network(change(torch.zeros(2, 1, frontend.mel_bins, 200)))
    if sum(buffer.numel() for buffer in frontend.buffers()) < LARGE:
        frontend = config.build_frontend()
        torch.testing.assert_close(frontend(waveform.double()), frontend(waveform))


def test_checks_of_input_do_not_break_a_compiled_graph() -> None:
    model = create(SMALL, "none").eval()
    waveform = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(lambda x: model(model.frontend(x)).frame_logits, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(waveform), model(model.frontend(waveform)).frame_logits)


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


CONFIGS: list[BackboneConfig | SequenceHeadConfig] = [
    registry.get(name)() for registry in (BACKBONES, SEQUENCE_HEADS) for name in registry.names()
]


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
