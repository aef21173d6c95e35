"""Training in several processes: it is that of one, and goes on in another number of them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from damage import spoil
from few_labels import write_few_labels
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import LostProcessError, PreemptedError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.folders import run_folder
from efficient_sed.training.progress import ProgressFile
from efficient_sed.training.run_files import LAST_CHECKPOINT
from efficient_sed.training.shared_norm import SharedStatistics
from efficient_sed.training.train import fit

LOSS_TOLERANCE = 1e-5
# a small rate: Adam makes whole steps of gradients that are rounding alone, as of weights before a BatchNorm
TRAINING = (
    *("backbone=fmn04", "seq=mingru", "seq.hidden=16", "data=synthetic"),
    *("benchmark.repeats=3", "benchmark.batches=[1]", "train.accelerator=cpu", "train.select=last", "train.epochs=2"),
    *("train.batch_size=4", "train.lr_backbone=1e-4", "train.lr_head=1e-4"),
    *("train.augment.wave_mix_probability=0", "train.augment.mel_jitter=false"),
    *("train.augment.time_roll_sigma=0", "train.augment.mixup_probability=0"),
)  # fmt: skip


def overrides(data: SyntheticConfig, output: Path, *more: str) -> list[str]:
    own = [f"data.{key}={value}" for key, value in to_dict(data).items() if key != "name" and value is not None]
    return [*TRAINING, *own, f"output_dir={output}", *more]


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "efficient_sed", "train", "--quiet", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    with process:
        _, errors = process.communicate()
    return errors


def column(folder: Path, name: str) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


@pytest.fixture(scope="module")
def alone(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training in one process that nothing stopped."""
    folder = tmp_path_factory.mktemp("alone")
    fit(compose_run(overrides(tiny_config, folder)), tiny_data, folder, show_progress=False)
    return folder


@pytest.fixture
def stopped(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Path]:
    """Words and folder of a training in one process that SIGTERM stopped in its first epoch."""
    words = overrides(tiny_config, tmp_path)
    config = compose_run(words)
    folder = run_folder(config)
    with monkeypatch.context() as patched:
        patched.setattr(
            ProgressFile, "on_train_batch_start", lambda *_: signal.raise_signal(signal.SIGTERM), raising=False
        )
        with pytest.raises(PreemptedError, match="after step 1"):
            fit(config, tiny_data, folder, show_progress=False)
    return words, folder


def assert_same_course(folder: Path, other: Path, tolerance: float = LOSS_TOLERANCE) -> None:
    for name in ("train/loss_epoch", "val/loss"):
        ours, theirs = column(folder, name), column(other, name)
        assert len(ours) == len(theirs)
        assert ours == pytest.approx(theirs, abs=tolerance, rel=0), name


@pytest.mark.slow
def test_two_processes_train_and_score_like_one(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, alone: Path
) -> None:
    words = overrides(tiny_config, tmp_path, "train.devices=2")
    process = start(words)
    errors = finish(process)
    assert process.returncode == 0, errors[-2000:]
    folder = run_folder(compose_run(words))
    result = json.loads((folder / "result.json").read_text())
    assert result["training"]["steps"] == 2 * len(tiny_data.train) // 4
    assert_same_course(folder, alone)
    score = column(folder, "val/psds1_macro")[-1]
    data = [word for word in words if word.startswith("data")]
    again = subprocess.run(
        [sys.executable, "-m", "efficient_sed", "evaluate", str(folder / "model.safetensors"),
         "--part", "validation", *data],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert again.returncode == 0, again.stderr[-2000:]
    assert abs(json.loads(again.stdout)["psds1_macro"] - score) <= 1e-9


@pytest.fixture
def few_labels(tiny_data: Splits, tmp_path: Path) -> Path:
    """A folder of four strong, two weak and two unlabelled scenes."""
    write_few_labels(tmp_path / "few", tiny_data)
    return tmp_path / "few"


@pytest.mark.slow
def test_two_processes_have_one_mean_teacher(tiny_config: SyntheticConfig, few_labels: Path, tmp_path: Path) -> None:
    words = [word for word in overrides(tiny_config, tmp_path / "one") if not word.startswith("data")]
    words += ["data=folder", f"data.root={few_labels}", "data.clip_seconds=3", "data.num_workers=0"]
    words += ["train.mean_teacher=true", "train.augment.weak_mixup_probability=0", "classifier.pooling=attention"]
    words += ["train.batch_size=8", "train.batch_clips={strong: 4, weak: 2, unlabelled: 2}", "train.draws_per_epoch=16"]
    config = compose_run(words)
    fit(config, config.data.load(), tmp_path / "alone", show_progress=False)
    process = start([*words, f"output_dir={tmp_path / 'two'}", "train.devices=2"])
    errors = finish(process)
    assert process.returncode == 0, errors[-2000:]
    (folder,) = (tmp_path / "two").iterdir()
    assert_same_course(folder, tmp_path / "alone", 3 * LOSS_TOLERANCE)  # a sum of three terms
    for name in ("train/loss_weak_epoch", "train/loss_consistency_epoch"):
        found, expected = column(folder, name), column(tmp_path / "alone", name)
        assert max(expected) > 0
        assert found == pytest.approx(expected, rel=0.01), name


@pytest.mark.long
def test_begun_in_two_processes_goes_on_in_one(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, alone: Path
) -> None:
    words = overrides(tiny_config, tmp_path, "train.devices=2")
    folder = run_folder(compose_run(words))
    assert folder == run_folder(compose_run(overrides(tiny_config, tmp_path)))
    process = start(words)
    while process.poll() is None and not (folder / "progress.json").is_file():  # a step is done
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    errors = finish(process)
    assert (process.returncode, "the same command goes on from there" in errors) in {(143, True), (0, False)}, errors[
        -2000:
    ]
    if process.returncode:  # else it ended before the signal came
        assert (folder / LAST_CHECKPOINT).is_file()
        fit(compose_run(overrides(tiny_config, tmp_path)), tiny_data, folder, show_progress=False)
    assert column(folder, "val/loss")[-1] == pytest.approx(column(alone, "val/loss")[-1], abs=LOSS_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", pytest.param("deepspeed_stage_2", marks=pytest.mark.long)])
def test_begun_in_one_process_goes_on_in_two(stopped: tuple[list[str], Path], alone: Path, strategy: str) -> None:
    if strategy != "ddp":
        pytest.importorskip("deepspeed")
    words, folder = stopped
    process = start([*words, "train.devices=2", f"train.strategy={strategy}"])
    errors = finish(process)
    assert process.returncode == 0, errors[-2000:]
    assert column(folder, "val/loss") == pytest.approx(column(alone, "val/loss"), abs=LOSS_TOLERANCE)


@pytest.mark.slow
def test_a_lost_process_is_one_line(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    words = overrides(tiny_config, tmp_path, "train.devices=2", "train.epochs=500")
    folder = run_folder(compose_run(words))
    process = start(words)
    while process.poll() is None and not (folder / LAST_CHECKPOINT).is_file():
        time.sleep(0.1)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    errors = finish(process)
    assert process.returncode in (2, -signal.SIGKILL), errors[
        -2000:
    ]  # Lightning may see it first, and ends this process by force
    assert errors.splitlines()[-1] == f"efficient-sed: {LostProcessError.WORDS}"
    assert "Traceback" not in errors


@pytest.mark.long
def test_a_process_without_a_readable_clip_does_not_stop_the_others(
    tiny_config: SyntheticConfig, tmp_path: Path
) -> None:
    data = replace(tiny_config, root=str(tmp_path / "data"), on_error="skip")
    data.load()
    path = sorted((data.folder / "audio" / "train").iterdir())[1]
    path.write_bytes(spoil(path.read_bytes()))
    words = overrides(data, tmp_path, "train.devices=2", "train.batch_size=2", "train.epochs=1")
    process = start(words)
    errors = finish(process)
    assert process.returncode == 0, errors[-2000:]
    result = json.loads((run_folder(compose_run(words)) / "result.json").read_text())
    (message,) = result["training"]["unreadable"]  # whichever process met it
    assert message.startswith(str(path))
    assert result["training"]["steps"] == 4


class FirstOfTwo:
    """What a data module asks of a trainer."""

    world_size = 2

    def __init__(self, rank: int) -> None:
        self.global_rank = rank


@pytest.mark.parametrize("weights", ["uniform", "balanced"])
def test_two_processes_read_what_one_reads(tiny_config: SyntheticConfig, tiny_data: Splits, weights: str) -> None:
    config = compose_run([*overrides(tiny_config, Path("runs")), f"train.sampler={weights}"])
    for batches_done in (0, 1):

        def batches(config: RunConfig, rank: int | None, batches_done: int = batches_done) -> Iterator[set[int]]:
            module = SedDataModule(config, tiny_data, FrameGrid())
            module.trainer = None if rank is None else FirstOfTwo(rank)  # type: ignore[assignment]
            module.load_state_dict({"batches_done": batches_done})
            loader = module.train_dataloader()
            loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
            return (set(batch.positions.tolist()) for batch in loader)

        whole = list(batches(config, None))
        parts = [list(batches(config, rank)) for rank in (0, 1)]
        assert len(whole) == 2 - batches_done
        assert [first | second for first, second in zip(*parts, strict=True)] == whole


def small_network() -> nn.Module:
    torch.manual_seed(0)
    parts = (
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3),
        BatchNormAct2d(5, act_layer=nn.ReLU),
        nn.Conv2d(5, 2, 3),
    )
    return nn.Sequential(*parts).double()


def train_share(rank: int, address: str, clips: torch.Tensor, output: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    model = SharedStatistics(is_gpu=False).apply(small_network())
    own = clips[:4] if rank == 0 else clips[4:]  # not as many in each
    share = 2 * len(own) / len(clips)
    wrapped = nn.parallel.DistributedDataParallel(model)  # by name: it must live until the gradients are there
    wrapped(own).square().mean().mul(share).backward()
    if rank == 0:
        torch.save(({name: parameter.grad for name, parameter in model.named_parameters()}, model.state_dict()), output)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_shared_statistics_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    clips = torch.randn(6, 1, 12, 13, dtype=torch.float64) * 3 + 1
    output = str(tmp_path / "shares.pt")
    torch.multiprocessing.spawn(train_share, (f"file://{tmp_path / 'meeting'}", clips, output), nprocs=2)
    gradients, state = torch.load(output)
    model = small_network()
    model(clips).square().mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=0, atol=1e-12, msg=name)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=1e-12, msg=name)
