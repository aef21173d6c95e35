"""A training step does not wait for its device. The meta device stands for a GPU: a value of it cannot be read, and copies to it are counted."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_augmentation import EVERYTHING, IS_WEAK, ON
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from efficient_sed.audio.frontend_transformers import AsitMel
from efficient_sed.config.schema import AugmentConfig, RunConfig, TrainConfig
from efficient_sed.data.clip_dataset import Batch
from efficient_sed.data.synthetic import SyntheticConfig
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.teachers.model import ModelTeacher, _Member
from efficient_sed.training.callbacks import AveragedWeights
from efficient_sed.training.draws import move_together
from efficient_sed.training.module import SedModule
from efficient_sed.training.optim import build_optimizer

META = torch.device("meta")
CLASSES = ("bell", "dog", "siren")
MOST_COPIES = 1  # the draws


class Copies(TorchDispatchMode):
    """Counts operations that take tensors of both devices; to read a value of the meta device is an error by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        if len({leaf.device for leaf in tensors if leaf.ndim or "copy" in str(function)}) > 1:  # numbers go along with the kernel
            self.names.append(str(function))
        return result


def make_module(backbone: str = "fmn04", head: str = "none", **train: Any) -> tuple[SedModule, Any]:
    built = BACKBONES.get(backbone)()
    options: dict[str, Any] = {"augment": AugmentConfig(mel_jitter=built.has_mel_jitter), **train}
    config = RunConfig(built, SEQUENCE_HEADS.get(head)(), SyntheticConfig(clip_seconds=2), TrainConfig(**options))
    with META:
        module = SedModule(SedModel(ModelSpec(config.backbone, config.seq, CLASSES)).train(), config)
    module.trainer = SimpleNamespace(world_size=1, current_epoch=0, global_rank=0, global_step=4, log_every_n_steps=5)  # type: ignore[assignment]
    module.log = lambda *_, **__: None  # type: ignore[assignment, method-assign]
    optimizer, _ = build_optimizer(module.model, config.train, 10)
    return module, optimizer


def make_batch(module: SedModule, is_weak: torch.Tensor) -> Batch:
    grid, size = module.model.grid, len(is_weak)
    samples = 2 * grid.sample_rate
    labels = torch.zeros(size, len(CLASSES), grid.num_frames(samples), device=META)
    return Batch(torch.zeros(size, samples, device=META), labels, labels, torch.arange(size, device=META), is_weak, [])


def step(module: SedModule, optimizer: Any, is_weak: torch.Tensor, averaged: AveragedWeights | None = None) -> list[str]:
    """Copies between the devices in one step: draw, augment, forward, backward, clip, update, average."""
    batch = make_batch(module, is_weak)
    with Copies() as copies:
        loss = module.training_step(batch, 0)
        assert loss is not None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if averaged is not None:
            averaged.on_train_batch_end(module.trainer, module, None, batch, 0)
    return copies.names


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lightning would set, and no autocast, which the meta device has not."""
    for name in ("current_epoch", "global_rank", "trainer"):
        monkeypatch.setattr(SedModule, name, 0)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


def test_one_copy_whatever_the_augmentation() -> None:
    """Draws, labels and two teachers included, one of them with a front end and more classes of its own."""
    presets = {**ON, "default": AugmentConfig(), "everything": EVERYTHING}
    module, optimizer = make_module(augment=AugmentConfig())
    with META:
        models = [SedModel(ModelSpec(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), labels)).eval() for labels in (CLASSES, ("x", *CLASSES))]
        models[1].frontend = AsitMel()
    columns = (None, torch.tensor([1, 2, 3]))
    module.teacher = ModelTeacher([_Member(model, each, "any") for model, each in zip(models, columns, strict=True)])
    module._is_shared = [True, False]
    copies = {}
    for name, augment in presets.items():
        module.config = replace(module.config, train=replace(module.config.train, augment=augment))
        for is_weak in (IS_WEAK, ~(IS_WEAK | True), IS_WEAK | True):
            step(module, optimizer, is_weak)  # what is made once
            copies[name, int(is_weak.sum())] = step(module, optimizer, is_weak)
    assert not {key: names for key, names in copies.items() if len(names) > MOST_COPIES}


PARTS = [(name, "none") for name in BACKBONES.names()] + [("fmn04", head) for head in SEQUENCE_HEADS.names()]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "lamb"])
def test_no_part_waits(optimizer: str) -> None:
    """Every backbone and head, forward and backward, with each optimiser and averaged weights."""
    copies = {}
    for backbone, head in PARTS if optimizer == "adam" else [("fmn04", "tf"), ("fmn04_dcls", "none")]:
        module, stepper = make_module(backbone, head, optimizer=optimizer, ema_decay=0.9)
        averaged = AveragedWeights(0.9)
        averaged.setup(SimpleNamespace(strategy=SimpleNamespace(root_device=META)), module, "fit")  # type: ignore[arg-type]
        for number in range(3):
            module.trainer.global_step = number + 1
            copies[backbone, head] = step(module, stepper, IS_WEAK[:2], averaged)
    assert not {key: names for key, names in copies.items() if len(names) > MOST_COPIES}


def test_moved_together_all_stays_what_it_was() -> None:
    """Types, shapes and structure; on a CPU the very tensors."""
    given = {"a": torch.tensor(True), "b": (torch.arange(5), None), "c": [torch.rand(2, 3).T, torch.zeros(0, 4)], "d": torch.rand(3).half()}
    assert move_together(given, torch.device("cpu")) is given
    with Copies() as copies:
        moved = move_together(given, META)
    assert len(copies.names) == 1
    before, after = tree_leaves(given), tree_leaves(moved)
    assert [(x.shape, x.dtype) for x in after if x is not None] == [(x.shape, x.dtype) for x in before if x is not None]
