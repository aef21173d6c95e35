"""`efficient-sed models` and `models convert`."""

from __future__ import annotations

import io
import json
import re
from itertools import groupby
from pathlib import Path

import pytest
import torch
from command import Run
from rich.console import Console

import efficient_sed as es
from efficient_sed.benchmark.model_groups import group_rows, group_title
from efficient_sed.benchmark.model_list import list_released
from efficient_sed.cli.model_tables import released_tables
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.registry import SEQUENCE_HEADS


def test_models(run: Run) -> None:
    status, out, err = run("models")
    assert (status, err) == (0, "")
    assert all(re.search(rf"^{re.escape(name)} ", out, re.MULTILINE) for name in list_cards())
    assert [line.split()[-1] for line in out.splitlines() if "_synthetic" in line] == ["yes"] * 3
    assert json.loads(run("models --json").out) == es.list_models()


def test_models_at_eighty_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(*released_tables(list_released()))
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in list_cards())


@pytest.mark.parametrize(("key", "sign"), [("name", 1), ("params", 1), ("macs", 1), ("score", -1)])
def test_models_sorted_within_groups(run: Run, key: str, sign: int) -> None:
    rows = json.loads(run(f"models fmn?0* --sort {key} --json").out)["released"]
    assert len(rows) == 26
    assert [list(group) for _, group in groupby(rows, key=group_title)] == [*group_rows(rows).values()]
    for group in group_rows(rows).values():
        values = [row["scores"][0]["value"] if key == "score" else row[key] for row in group]
        assert values == sorted(values)[::sign]


def test_scores_that_do_not_compare_share_no_table() -> None:
    rows = list_released(sort="macs")
    groups = group_rows(rows)
    assert [*groups] == [
        "Detection: PSDS1 macro on AudioSet Strong",
        "Tagging: mAP on AudioSet",
        "Detection: PSDS1 macro on generated sounds",
        "Tagging: mAP on generated sounds",
        "Backbones to start a training from",
    ]
    for title, table in zip(groups, released_tables(rows), strict=True):
        assert str(table.title) == title
        shown = [str(column.header) for column in table.columns]
        assert [name in shown for name in ("PSDS1 macro", "mAP")] == [name in title for name in ("PSDS1 macro", "mAP")]


def test_models_within_a_budget(run: Run) -> None:
    rows = json.loads(run("models --max-macs 500M --max-params 2M --min-score 0.4 --sort macs --json").out)["released"]
    within = {
        name
        for name, card in list_cards().items()
        if card.macs <= 500e6 and card.params <= 2e6 and card.score and card.score.value >= 0.4
    }
    assert len(within) >= 8
    assert {row["name"] for row in rows} == within
    fitting = run("models fmn04+tf* --composable --hidden 64,512 --max-params 1M").out
    assert ("fmn04+tf-64 " in fitting, "fmn04+tf-512 " in fitting) == (True, False)


def test_models_by_pattern(run: Run) -> None:
    assert [line.split()[0] for line in run("models fmn10*weak").out.splitlines()[2:3]] == ["fmn10_weak"]
    card = run("models fmn10+tf-256_strong").out
    assert all(
        words in card
        for words in (
            "5,028,286",
            "0.4386 on AudioSet Strong evaluation part",
            "16,935 clips, 407 classes",
            "https://arxiv.org/abs/2503.11373",
            "MIT",
        )
    )


def test_models_composable(run: Run) -> None:
    rows = json.loads(run("models fmn04* --composable --hidden 64,128 --json").out)["composable"]
    costs = {row["name"]: row for row in rows}
    sized = [head for head in SEQUENCE_HEADS.names() if hasattr(SEQUENCE_HEADS.get(head), "hidden")]
    assert len(sized) >= 7
    assert costs.keys() >= {"fmn04", *(f"fmn04+{head}-{hidden}" for head in sized for hidden in (64, 128))}
    model = es.create_model("fmn04+gru-64", 447)
    assert (costs["fmn04+gru-64"]["params"], costs["fmn04+gru-64"]["macs"]) == (
        sum(p.numel() for p in model.parameters()),
        es.count_macs(model).total,
    )
    assert "fmn04+tf-256" in run("models fmn04+tf* --composable").out


def test_convert(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = es.create_model("fmn04", num_classes=447)
    keys = {"backbone.": "model.", "classifier.strong.": "strong_head.", "classifier.weak.": "weak_head."}
    released = {
        next(new + key.removeprefix(old) for old, new in keys.items() if key.startswith(old)): value
        for key, value in model.state_dict().items()
    }
    for name in ("fmn04_strong.pt", "mine.pt"):
        torch.save(released, tmp_path / name)
    assert run("models convert fmn04_strong.pt out.safetensors") == (0, "wrote out.safetensors: fmn04\n", "")
    converted = es.load_model(str(tmp_path / "out.safetensors"))
    assert (converted.classes, converted.provenance.notes["named_like"]) == (model.classes, "fmn04_strong")
    assert all(torch.equal(value, converted.state_dict()[key]) for key, value in model.state_dict().items())
    assert run("models convert --half --name fmn04 mine.pt half.safetensors").status == 0
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "out.safetensors").stat().st_size
    for typed, words in (
        (
            "mine.pt new.safetensors",
            "mine.pt: neither the file nor its name says which model it holds; give --name ARCH",
        ),
        ("mine.pt out.safetensors --name fmn04", "out.safetensors: is there already; give another name, or --force"),
        ("mine.pt new.safetensors --name fmn06", "mine.pt: holds fmn04, not fmn06"),
        ("mine.pt new.safetensors --name fmn04+tf-64", "mine.pt: holds fmn04, not fmn04+tf-64"),
        ("out.safetensors new.safetensors --name fmn04+tf-64", "out.safetensors: holds fmn04, not fmn04+tf-64"),
        ("out.safetensors new.safetensors --name fmn06", "out.safetensors: holds fmn04, not fmn06"),
    ):
        status, out, err = run(f"models convert {typed}")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert words in err
        assert not (tmp_path / "new.safetensors").exists()
    assert run("models convert mine.pt out.safetensors --name fmn04 --force").status == 0
    assert run("models convert out.safetensors again.safetensors").out == "wrote again.safetensors: fmn04\n"
