"""Clip scores that are weighted means of the frames' scores."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

import efficient_sed as es
from efficient_sed.benchmark.macs import count_module_macs
from efficient_sed.config.model import Pooling
from efficient_sed.errors import CheckpointError
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.fuse import fuse
from efficient_sed.models.pooling import POOLINGS, AttentionClassifier
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

CLASSES = ("bell", "dog", "siren")
BATCH, FRAMES, DIM = 2, 7, 10
every_pooling = pytest.mark.parametrize("name", POOLINGS)


def create(pooling: Pooling, head: str = "mingru") -> SedModel:
    torch.manual_seed(0)
    seq = SEQUENCE_HEADS.get(head)(hidden=16)
    return settle_norms(SedModel(ModelSpec(BACKBONES.get("fmn04")(), seq, CLASSES, pooling))).eval()


def test_every_option_is_there() -> None:
    assert set(get_args(Pooling)) == {"mean", *POOLINGS}


@every_pooling
@torch.no_grad()
def test_against_the_formula(name: str) -> None:
    torch.manual_seed(0)
    classifier, features = POOLINGS[name](DIM, len(CLASSES)).double(), torch.randn(BATCH, FRAMES, DIM).double()
    frame_logits, clip_logits = classifier(features)
    assert frame_logits.shape == (BATCH, len(CLASSES), FRAMES)
    for clip in range(BATCH):
        for label in range(len(CLASSES)):
            scores = [float(frame_logits[clip, label, frame].sigmoid()) for frame in range(FRAMES)]
            weights = torch.tensor(scores, dtype=torch.float64)
            if isinstance(classifier, AttentionClassifier):
                weights = classifier.attention(features[clip])[:, label].exp()
            weighted = sum(float(weight) * score for weight, score in zip(weights, scores, strict=True))
            expected = weighted / float(weights.sum())
            assert float(clip_logits[clip, label].sigmoid()) == pytest.approx(expected, rel=1e-5)
            assert min(scores) <= expected <= max(scores)


@every_pooling
def test_weak_labels_teach_the_frames(name: str) -> None:
    classifier, features = POOLINGS[name](DIM, len(CLASSES)), torch.randn(BATCH, FRAMES, DIM)
    classifier(features).clip_logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in classifier.parameters())


@every_pooling
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
def test_sure_frames_stay_finite(name: str, size: float) -> None:
    classifier = POOLINGS[name](1, 1)
    torch.nn.init.constant_(classifier.strong.weight, size)
    features = torch.ones(1, FRAMES, 1, requires_grad=True)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = classifier(features).clip_logits
        logits.sum().backward()
        assert logits.isfinite().all()
        assert features.grad is not None
        assert features.grad.isfinite().all()


@every_pooling
def test_parameters_and_macs(name: str) -> None:
    classifier = POOLINGS[name](DIM, len(CLASSES))
    layers = 2 if name == "attention" else 1
    assert sum(parameter.numel() for parameter in classifier.parameters()) == layers * (DIM + 1) * len(CLASSES)
    macs = count_module_macs(torch.nn.Sequential(classifier), torch.zeros(1, FRAMES, DIM))
    assert macs == FRAMES * len(CLASSES) * (layers * DIM + 1)


@every_pooling
@torch.inference_mode()
def test_fused_saved_and_loaded_it_is_the_same(name: Pooling, tmp_path: Path) -> None:
    model, mel = create(name), torch.randn(1, 1, 128, 100)
    expected = model(mel)
    torch.testing.assert_close(fuse(model)(mel), expected, rtol=1e-4, atol=1e-4)
    es.save_model(model, tmp_path / "model.safetensors")
    loaded = es.load_model(str(tmp_path / "model.safetensors"))
    assert (loaded.spec, loaded.spec.pooling) == (model.spec, name)
    torch.testing.assert_close(loaded(mel), expected, rtol=0, atol=0)
    fresh = es.load_model(str(tmp_path / "model.safetensors"), num_classes=5)
    assert (fresh.spec.pooling, len(fresh.classes)) == (name, 5)


def test_an_unknown_pooling_in_a_file_is_refused(tmp_path: Path) -> None:
    model = create("attention")
    object.__setattr__(model.spec, "pooling", "loudest")
    es.save_model(model, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"its header does not describe a model .*classifier\.pooling='loudest'"):
        es.load_model(str(tmp_path / "model.safetensors"))


def test_frames_of_a_stream_are_those_of_the_whole() -> None:
    model = create("attention")
    waveform = 0.1 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        steps = model.backbone(model.frontend(waveform))
        whole = model(model.frontend(waveform)).frame_logits
        pieces, state = [], None
        for step in steps.split(10, 1):
            output, state = model.sequence.stream(step, state)
            pieces.append(model.classifier(output).frame_logits)
    torch.testing.assert_close(torch.cat(pieces, 2), whole, rtol=1e-4, atol=1e-4)
