"""Results of runs, measurements of boards, options as typed, and presets."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console

from efficient_sed.cli.table1 import table1
from efficient_sed.cli.tables import result_table
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.experiment import compose
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.record import repeated_rows
from efficient_sed.files.packaged import resource_folder
from efficient_sed.files.pages import to_script_json
from efficient_sed.frontier.device_rows import results_on_device
from efficient_sed.frontier.html import page_data
from efficient_sed.frontier.points import run_points
from efficient_sed.frontier.runs import find_runs, read_results
from efficient_sed.metrics.psds.clips import PsdsClips
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.sweep.grid import expand_grid
from reliability.inputs import Kind, demand
from reliability.inputs_containers import wild_npz
from reliability.mutations import TEXTS, change_value, damage, damaged_json, wild_value

SPEED = {"batch_size": 4, "precision": "fp32", "device": "CPU", "mode": "fused"}
RESULT: dict[str, Any] = {
    "model": "fmn10+tf-256", "backbone": "fmn10", "head": "tf", "task": "detection", "seed": 0,
    "signature": "0abcdef012",
    "metrics": {"psds1_macro": 0.4, "psds1": 0.2, "psds1_macro_ci95": [0.3, 0.5],
    "variant": {"median_frames": 9, "back_end": "exact"}, "coverage": {"clips_scored": 16}},
    "complexity": {
        "params": 5_000_000, "macs": 1_400_000_000,
        "macs_by_part": {"frontend": 1, "backbone": 2, "sequence": 3, "classifier": 4}, "macs_deepspeed": None,
        "seconds": 10.0,
        "throughput": {"clips_per_s": 30.0, "iqr": [29.0, 31.0], **SPEED}, "latency": {"ms": 33.25},
        "peak_memory_mb": 700.5,
    },
    "data": {"name": "synthetic", "manifest_hash": "cafe"},
    "config": {"train": {"epochs": 5, "accelerator": "auto"}, "data": {"root": "datasets", "num_workers": 2},
    "seq": {"name": "tf"}, "seed": 0, "output_dir": "runs"},
    "training": {"steps": 60, "device": "CPU"},
    "environment": {"commit": "abc", "versions": {"torch": "2.11.0"}, "device": "CPU",
    "created": "2026-11-20T00:00:00+00:00"},
}  # fmt: skip
BOARD: list[dict[str, Any]] = [{
    "model": "fmn10+tf-256", "signature": "0abcdef012", "trained_on": "synthetic", "score": None,
    "complexity": {
        "params": 5_000_000, "macs": 1_400_000_000, "macs_by_part": {"frontend": 1}, "seconds": 10.0,
        "throughput": {"clips_per_s": 3.0, "iqr": [2.0, 4.0], **SPEED},
        "latency": {"ms": 300.0, "p95_ms": 310.0, **SPEED}, "peak_memory_mb": 100.0,
        "peak_memory_of": "whole process since its start", "repeats": 30,
    },
    "environment": {"versions": {"onnxruntime": "1"}, "device": "board", "created": "2026-11-20T00:00:00+00:00"},
}]  # fmt: skip


def _prepare_results(folder: Path) -> None:
    for number in (1, 2):
        (folder / f"runs/{number}").mkdir(parents=True)
        (folder / f"runs/{number}/result.json").write_text(
            json.dumps(RESULT | {"seed": number, "signature": f"{number}abcdef012"})
        )
    (folder / "runs/0").mkdir()


def _attempt_result(rng: random.Random, folder: Path) -> bool:
    (folder / "runs/0/result.json").write_bytes(damaged_json(json.dumps(RESULT), rng))
    return _draw(read_results(find_runs(folder / "runs")))


def _draw(found: Any) -> bool:
    """All that is made of results but the pictures."""
    for point in run_points(found):
        demand(0 <= point.score <= 1 and all(math.isfinite(value) for value in point.complexity.values()), f"{point}")
    results = [result for _, result in found]
    console = Console(file=io.StringIO(), width=160, markup=False)
    for table in (result_table(results), table1(results)):
        if table is not None:
            console.print(table)
    text = to_script_json(page_data(found))
    demand("<" not in text and "\n" not in text, "the page's data could end their element")
    for row in repeated_rows(results):
        demand(0 <= row["score"] <= 1, f"{row['score']}")
    return True


def _attempt_board(rng: random.Random, folder: Path) -> bool:
    path = folder / "board.json"
    path.write_bytes(damaged_json(json.dumps(BOARD), rng))
    return _draw(results_on_device([(folder, RESULT)], [path]))


def _prepare_clips(folder: Path) -> None:
    accumulator = PsdsAccumulator(("cat", "dog"), [1.0] * 4, frame_hop_s=0.04, keeps_clips=True)
    for number in range(4):
        rng = np.random.default_rng(number)
        accumulator.update(
            f"clip {number}",
            rng.uniform(size=(25, 2)).astype(np.float32),
            [(0.1, 0.5, "cat"), (0.3, 0.9, "dog")][: number % 3],
            1.0,
        )
    PsdsClips.collect(accumulator, {"max_efpr": 100.0}).save(folder / "original.npz")


def _attempt_clips(rng: random.Random, folder: Path) -> bool:
    path, original = folder / "damaged.npz", folder / "original.npz"
    if rng.random() < 0.5:
        path.write_bytes(damage(original.read_bytes(), rng))
    else:
        wild_npz(original, path, rng)
    clips = PsdsClips.load(path)
    for value in (clips.macro(), *clips.bootstrap(2)):
        demand(0 <= value <= 1, f"a score of {value}")
    return True


KEYS = (
    "seq", "seq.hidden", "seq.num_layers", "seq.num_heads", "seq.dropout", "backbone", "backbone.init", "data",
    "data.root", "data.clip_seconds",
    "data.median_frames", "data.num_workers",
    "data.on_error", "data.classes", "data.seed", "data.num_train", "data.scene_seconds", "train.epochs",
    "train.batch_size", "train.lr_head",
    "train.augment.mixup_alpha", "train.augment",
    "train.precision", "train.teacher", "train.batch_clips", "train", "evaluation.dtc", "evaluation.max_efpr",
    "benchmark.seconds", "benchmark.batches",
    "benchmark.modes", "task", "seed",
    "output_dir", "logger", "experiment", "model", "sweep", "seeds", "folds", "data.fold", "hydra.run.dir", "hydra",
    "+new", "~train", "++seed",
    "+seq.hidden", "", "a.b.c", "defaults", "launcher.jobs",
)  # fmt: skip
VALUES = (*TEXTS, "tf", "gru", "none", "fmn10", "synthetic", "folder", "64", "0.5", "-0.0", "true", "[1,2]", "[a,b]",
"{a:1,b:2}", "1,2,3", "range(1,4)",
"choice(1,2)", "glob(*)", "${train.epochs}",
          "${oc.decode:1}", "int(1)", "'a b'", '"a,b"', "1e308", "9" * 30, "smoke", "finetune", "fmn10+tf-256",
          "[" * 500 + "]" * 500)  # fmt: skip


def _override(rng: random.Random) -> str:
    action = rng.random()
    key = (
        rng.choice(KEYS)
        if action < 0.9
        else "".join(rng.choice((*KEYS, ".", "=", "@", "/", "+", "~", *TEXTS[:30])) for _ in range(rng.randrange(1, 4)))
    )
    value = (
        rng.choice(VALUES)
        if rng.random() < 0.8
        else "".join(rng.choice((*VALUES[:40], ",", "[", "]", "{", "}", ":")) for _ in range(rng.randrange(1, 4)))
    )
    return (f"{key}={value}" if rng.random() < 0.97 else rng.choice((key, value))).replace("\ud800", "")


def _attempt_overrides(rng: random.Random, folder: Path) -> bool:  # noqa: ARG001 (a kind's signature)
    overrides = [_override(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.2:
        for point in expand_grid(overrides):
            _check_config(point.config)
    else:
        _check_config(compose_run(overrides))
    return True


def _check_config(config: RunConfig) -> None:
    """All numbers are finite, and the values rebuild it."""
    values = to_dict(config)
    text = json.dumps(values)
    demand("NaN" not in text and "Infinity" not in text, f"a number that is none: {text}")
    demand(from_dict(RunConfig, values) == config, "its values make another configuration")
    demand("/root" not in text.replace('"/root"', ""), f"the environment was read: {text}")
    demand(config.output_dir.isprintable(), f"output_dir {config.output_dir!r}")


PRESET = """# @package _global_
defaults:
  - override /seq: gru
data:
  num_train: 48
  clip_seconds: 5
train:
  epochs: 1
  batch_size: 16
"""


def _attempt_preset(rng: random.Random, folder: Path) -> bool:
    configs = folder / "configs"
    (configs / "experiment").mkdir(parents=True, exist_ok=True)
    data = damage(PRESET.encode(), rng)
    if rng.random() < 0.5:
        value = json.dumps(
            change_value(
                {"data": {"num_train": 48}, "train": {"epochs": 1, "batch_size": wild_value(rng)}, "seed": 1}, rng
            )
        )
        data = f"# @package _global_\n{value}\n".encode()
    elif rng.random() < 0.3:
        data = PRESET.replace(
            "16",
            rng.choice(
                (
                    "!!python/object/apply:os.system [id]",
                    "&a [*a]",
                    "!!binary x",
                    "*a",
                    "${oc.env:HOME}",
                    "2026-11-20",
                    "!!set {a}",
                    "|",
                    "? [a]\n  : b",
                )
            ),
        ).encode()
    (configs / "experiment" / "tried.yaml").write_bytes(data)
    with mock.patch.object(
        compose, "resource_folder", lambda name: configs if name == "configs" else resource_folder(name)
    ):
        _check_config(compose_run(["experiment=tried"]))
    return True


def _nothing(folder: Path) -> None:
    """No original is needed."""


RUNS = [
    Kind("result", "results of runs (JSON)", 6, _prepare_results, _attempt_result),
    Kind("board", "what boards measured (JSON)", 4, _nothing, _attempt_board),
    Kind("psds_clips", "counts by clip (npz)", 4, _prepare_clips, _attempt_clips),
    Kind("overrides", "options as typed", 9, _nothing, _attempt_overrides),
    Kind("preset", "presets (YAML)", 3, _nothing, _attempt_preset),
]
