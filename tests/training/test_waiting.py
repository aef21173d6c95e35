"""A training step does not wait for its device. The meta device stands for a GPU: a value of it cannot be read, and
copies to it are counted."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_augmentation import EVERYTHING, IS_WEAK, ON
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from efficient_sed.audio.frontends.mel40 import Mel40
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.dataset import Batch
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.teachers import model as teacher_models
from efficient_sed.teachers.model import ModelTeacher, _Member
from efficient_sed.training.callbacks import AveragedWeights
from efficient_sed.training.draws import move_together
from efficient_sed.training.module import LOG_EVERY_STEPS, SedModule
from efficient_sed.training.optim import build_optimizer

META = torch.device("meta")
CLASSES = ("bell", "dog", "siren")
MOST_COPIES = 1  # the draws
SECONDS = 0.5


class Copies(TorchDispatchMode):
    """Counts operations that take tensors of both devices; to read a value of the meta device is an error by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        if (
            len({leaf.device for leaf in tensors if leaf.ndim or "copy" in str(function)}) > 1
        ):  # numbers go along with the kernel
            self.names.append(str(function))
        return result


def make_module(backbone: str = "fmn04", head: str = "none", **train: Any) -> tuple[SedModule, Any]:
    built = BACKBONES.get(backbone)()
    options: dict[str, Any] = {"augment": AugmentConfig(mel_jitter=built.has_mel_jitter), **train}
    config = RunConfig(built, SEQUENCE_HEADS.get(head)(), SyntheticConfig(), TrainConfig(**options))
    with META:
        module = SedModule(SedModel(ModelSpec(config.backbone, config.seq, CLASSES)).train(), config).to(META)
    module.trainer = SimpleNamespace(
        world_size=1, current_epoch=0, global_rank=0, global_step=2, num_training_batches=9
    )  # type: ignore[assignment]
    module.log = lambda *_, **__: None  # type: ignore[assignment, method-assign]
    optimizer, _ = build_optimizer(module.model, config.train, 10)
    return module, optimizer


def make_batch(module: SedModule, is_weak: torch.Tensor) -> Batch:
    grid, size = module.model.grid, len(is_weak)
    samples = int(SECONDS * grid.sample_rate)
    labels = torch.zeros(size, len(CLASSES), grid.num_frames(samples), device=META)
    batch = Batch.of_strong(torch.zeros(size, samples, device=META), labels, labels)
    return batch._replace(kinds=2 * is_weak.long(), groups=is_weak.long())


def step(module: SedModule, optimizer: Any = None, averaged: AveragedWeights | None = None) -> list[str]:
    """Copies between the devices in one step: draw, augment, forward; and backward, clip, update; and average."""
    batch = make_batch(module, IS_WEAK)
    with Copies() as copies:
        loss = module.training_step(batch, 0)
        if optimizer is not None and loss is not None:
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
    module, _ = make_module(augment=AugmentConfig())
    batch, copies = make_batch(module, IS_WEAK), {}
    logits = SedOutput(batch.targets, batch.targets.amax(-1))
    for name, augment in {**ON, "default": AugmentConfig(), "everything": EVERYTHING}.items():
        module.config = replace(module.config, train=replace(module.config.train, augment=augment))
        for seed in (0, 0):  # what is made once, then the same again
            with Copies() as seen:
                module._losses(module._augmented(batch, np.random.default_rng(seed)), logits)
        copies[name] = seen.names
    assert not {name: names for name, names in copies.items() if len(names) > MOST_COPIES}


def test_teachers_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, one with a front end and more classes of its own."""
    for name, stand_in in (
        ("_weights_hash", lambda _: ""),
        ("is_alike", lambda one, other: one is other),
    ):  # they read values
        monkeypatch.setattr(teacher_models, name, stand_in)
    module, _ = make_module("crnn_cnn")
    with META:
        spec = ModelSpec(BACKBONES.get("crnn_cnn")(), SEQUENCE_HEADS.get("none")(), ("x", *CLASSES))
        models = [SedModel(spec).eval().to(META) for _ in range(2)]
    models[1].frontend = Mel40("logmel40").to(META)
    module.teacher = ModelTeacher([_Member(model, torch.tensor([1, 2, 3]), "any") for model in models])
    module._is_shared = [True, False]
    step(module)  # the columns
    assert len(step(module)) <= MOST_COPIES


@pytest.mark.slow
def test_no_part_waits() -> None:
    """Every kind of backbone forward; every head, each optimiser and averaged weights in a whole step."""
    with META:
        kinds = {type(BACKBONES.get(name)().build()): name for name in sorted(BACKBONES.names(), reverse=True)}
    copies = {name: step(make_module(name)[0]) for name in kinds.values()}
    for head, kind in [*((head, "adam") for head in SEQUENCE_HEADS.names()), ("none", "lamb"), ("none", "adamw")]:
        module, optimizer = make_module("crnn_cnn", head, optimizer=kind, ema_decay=0.9)
        averaged = AveragedWeights(0.9)
        averaged.setup(SimpleNamespace(strategy=SimpleNamespace(root_device=META)), module, "fit")  # type: ignore[arg-type]
        averaged._latest_update_step = 1  # the first one copies
        copies[f"{head} {kind}"] = step(module, optimizer, averaged)
    module, optimizer = make_module("crnn_cnn", mean_teacher=True)
    averaged = AveragedWeights(0.9, teaches=True)
    averaged.setup(SimpleNamespace(strategy=SimpleNamespace(root_device=META)), module, "fit")  # type: ignore[arg-type]
    averaged._latest_update_step = 1
    copies["mean teacher"] = step(module, optimizer, averaged)
    module, optimizer = make_module("fmn04_dcls")  # whose positions are held inside their kernels
    copies["positions"] = step(module, optimizer)
    assert not {part: names for part, names in copies.items() if len(names) > MOST_COPIES}


def test_losses_are_shared_where_they_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four batches that make a step, at the last one."""
    module, _ = make_module()
    shared: list[int] = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda _: shared.append(index))
    for global_step in range(2 * LOG_EVERY_STEPS):
        for index in range(4):
            fit_loop = SimpleNamespace(_should_accumulate=lambda: index < 3)  # noqa: B023 (called at once)
            module.trainer = SimpleNamespace(world_size=2, global_step=global_step, fit_loop=fit_loop)  # type: ignore[assignment]
            module._log_losses({"loss": torch.ones(())}, 4)
    assert shared == [3, 3]


def test_moved_together_all_stays_what_it_was() -> None:
    """Types, shapes and structure; on a CPU the very tensors."""
    given = {
        "a": torch.tensor(True),
        "b": (torch.arange(5), None),
        "c": [torch.rand(2, 3).T, torch.zeros(0, 4)],
        "d": torch.rand(3).half(),
    }
    assert move_together(given, torch.device("cpu")) is given
    with Copies() as copies:
        moved = move_together(given, META)
    assert len(copies.names) == 1
    before, after = tree_leaves(given), tree_leaves(moved)
    assert [(x.shape, x.dtype) for x in after if x is not None] == [(x.shape, x.dtype) for x in before if x is not None]
