"""Searches whose runs train nothing: they write a result at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from result_files import make_result

from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.sweep import run_process

WRITE_RESULT = """
import hashlib, json, os, sys
folder = os.path.dirname(os.readlink("/proc/self/fd/1"))
if {condition}:
    result = json.load(open("template.json"))
    score = int(hashlib.sha256(" ".join(sorted(sys.argv[1:])).encode()).hexdigest()[:4], 16) / 65536
    result["metrics"]["psds1_macro"] = score
    result["training"] |= {{"best_score": score, "monitor": "val/psds1_macro"}}
    result["signature"] = folder.rpartition("_")[2]
    with open("started", "a") as file:
        file.write(result["signature"] + "\\n")
    open(folder + "/result.json", "w").write(json.dumps(result))
"""


@pytest.fixture
def fake_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every run a script that writes a result, with a score by its options, if a condition in Python holds."""

    def install(condition: str = "True", before: str = "") -> None:
        script = tmp_path / "run"
        script.write_text(f"#!{sys.executable} -S\n{before}\n{WRITE_RESULT.format(condition=condition)}")
        script.chmod(0o755)
        template = make_result()
        template["complexity"] |= {"macs": 13_000_000}
        (tmp_path / "template.json").write_text(json.dumps(template))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(run_process, "TRAIN_COMMAND", (str(script),))

    return install


@pytest.fixture
def words(tiny_config: SyntheticConfig) -> list[str]:
    """A search in a small space, as it is typed."""
    fixed = [f"data.root={tiny_config.root}", "data.num_train=8", "data.num_validation=4", "data.num_test=4"]
    fixed += ["data.scene_seconds=3", "data.clip_seconds=3", "seq=none", "backbone.hop_ms=20", "backbone.time_stride=4"]
    fixed += ["train.lr_backbone=1e-3", "backbone.mel_bins=128"]
    space = ["backbone=fmn01,fmn02", "train.lr_head=1e-4..1e-2"]
    return ["search", *fixed, *(word for part in space for word in ("--space", part))]
