"""Results as runs write them, for tests that read some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD: dict[str, Any] = {
    "model": "fmn04",
    "complexity": {
        "params": 528_448, "macs": 184_500_000,
        "macs_by_part": {"frontend": 38_000_000, "backbone": 181_100_000}, "macs_deepspeed": None, "seconds": 10.0,
        "throughput": {"clips_per_s": 31.5, "iqr": [30.0, 33.0], "batch_size": 4, "precision": "fp32",
                       "device": "CPU of a kind, 1 threads"},
        "latency": {"ms": 33.25}, "peak_memory_mb": 700.5,
    },
    "environment": {"versions": {"torch": "2.11.0"}, "commit": "abc", "created": "2026-11-20T00:00:00+00:00"},
}  # fmt: skip
RESULT: dict[str, Any] = RECORD | {
    "task": "detection",
    "seed": 1,
    "signature": "0123456789",
    "metrics": {"psds1_macro": 0.4567, "psds1": 0.3, "coverage": {"clips_scored": 16}, "variant": {"median_frames": 1}},
    "data": {"name": "synthetic", "manifest_hash": "cafe"},
    "config": {"train": {"epochs": 5}, "data": {}},
    "training": {"steps": 60, "device": "CPU of a kind"},
}


def make_result(model: str = "fmn10+tf-256", seed: int = 0, score: float = 0.4, **changes: Any) -> dict[str, Any]:
    """A whole result; `changes` replace its top-level keys."""
    backbone, _, head = model.partition("+")
    speed = {"batch_size": 4, "precision": "fp32", "device": "CPU"}
    return {
        "model": model,
        "backbone": backbone,
        "head": head.split("-")[0] or "none",
        "task": "detection",
        "seed": seed,
        "signature": f"{seed}abcdef012",
        "metrics": {
            "psds1_macro": score,
            "psds1": score / 2,
            "variant": {"median_frames": 9, "back_end": "sed_scores_eval"},
            "coverage": {"clips_scored": 16},
        },
        "complexity": {
            "params": 5_000_000,
            "macs": 1_400_000_000,
            "macs_by_part": {
                "frontend": 38_000_000,
                "backbone": 1_000_000_000,
                "sequence": 399_000_000,
                "classifier": 1_000_000,
            },
            "macs_deepspeed": None,
            "seconds": 10.0,
            "throughput": {"clips_per_s": 30.0, "iqr": [29.0, 31.0], **speed},
            "latency": {"ms": 33.25},
            "peak_memory_mb": 700.5,
        },
        "data": {"name": "synthetic", "manifest_hash": "cafe"},
        "config": {
            "train": {"epochs": 5, "accelerator": "auto"},
            "data": {"root": "datasets", "num_workers": 2},
            "seq": {"name": head},
            "seed": seed,
            "output_dir": "runs",
        },
        "training": {"steps": 60, "device": "CPU"},
        "environment": {
            "commit": "abc",
            "versions": {"torch": "2.11.0"},
            "device": "CPU",
            "created": "2026-11-20T00:00:00+00:00",
        },
    } | changes


def write_run(folder: Path, name: str, result: dict[str, Any]) -> Path:
    path = folder / name / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result), encoding="utf-8")
    return path
