"""Table 1 of dnd-sed from result files, and a sweep of real runs that prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from result_files import make_result, write_run
from tut_files import audio_path, write_tut

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.cli.table1 import table1
from efficient_sed.experiment.result_file import read_result
from efficient_sed.experiment.run import run_experiment
from efficient_sed.sweep.grid import expand_grid


def result(model: str, seed: int, f1: float, seconds: float | None = 2.0) -> dict[str, Any]:
    metrics = make_result()["metrics"] | {"frame_f1": f1, "frame_error_rate": 1 - f1}
    return make_result(
        model, seed, metrics=metrics, training={"steps": 1, "device": "CPU", "seconds_per_epoch": seconds}
    )


def rows(*results: dict[str, Any]) -> list[list[str]]:
    table = table1(results)
    assert table is not None
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]  # type: ignore[arg-type]


def test_mean_and_deviation_beside_what_is_published() -> None:
    results = [result("dnd-dnd-k7-d10", seed, f1) for seed, f1 in enumerate((0.5, 0.6, 0.7))] + [
        result("dnd-base", 0, 0.55, None),
        make_result("fmn10"),
    ]
    assert rows(*results) == [
        ["dnd-base", "1", "5,000,000", "3,684,368", "0.550", "0.59", "0.450", "0.54", "", "49.4"],
        [
            "dnd-dnd-k7-d10",
            "3",
            "5,000,000",
            "577,808",
            "0.600 ± 0.100",
            "0.63",
            "0.400 ± 0.100",
            "0.50",
            "2.0",
            "11.1",
        ],
    ]


def test_no_table_without_its_models() -> None:
    assert table1([make_result("fmn10+tf-256")]) is None
    assert table1([]) is None
    assert table1([make_result("dnd-base")]) is None  # of an early version, without frame scores


def test_plot_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for seed in range(2):
        write_run(tmp_path / "runs", f"r{seed}", result("dnd-dws", seed, 0.5 + seed / 10))
    assert main(["plot", str(tmp_path / "runs"), "--output", str(tmp_path / "f.png")]) == 0
    out = capsys.readouterr().out
    assert "dnd-sed, Table 1: here, and as published" in out
    assert "0.550 ± 0.071" in out


@pytest.mark.long
def test_a_sweep_of_mixtures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the 26 rows on mixtures of two seconds: trained, scored, measured, drawn; their models detect."""
    monkeypatch.setenv("COLUMNS", "200")
    root = write_tut(tmp_path / "tut", seconds=2.0)
    typed = [
        "sweep=dnd_table1",
        "model=dnd-dnd-k3-d1,dnd-dws",
        "data=tut_sed_synthetic_2016",
        f"data.root={root}",
        "data.clip_seconds=1.024",
        "data.num_workers=0",
    ]
    typed += [
        "train.epochs=2",
        "train.batch_size=3",
        "train.accelerator=cpu",
        "benchmark.seconds=1",
        "benchmark.repeats=3",
        "benchmark.modes=eager",
        "benchmark.batches=[1]",
    ]
    typed += [f"output_dir={tmp_path / 'runs'}"]
    points = expand_grid(typed)
    for point in points:
        run_experiment(point.config, show_progress=False)
    assert main(["sweep", *typed, "--plot", str(tmp_path / "plots" / "frontier.png")]) == 0
    out = capsys.readouterr().out
    assert "dnd-sed, Table 1: here, and as published" in out
    assert "743,696" in out
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "frontier.csv",
        "frontier.html",
        "frontier.png",
        "frontier.svg",
    ]
    for point in points:
        done = read_result(point.folder)
        assert done is not None
        assert {"psds1_macro", "frame_f1", "frame_error_rate"} <= done["metrics"].keys()
        assert done["metrics"]["variant"]["median_frames"] == 1
        assert done["training"]["monitor"] == "val/loss"
        assert done["training"]["epochs"] == 2
        assert done["training"]["seconds_per_epoch"] > 0
    file = str(points[0].folder / "model.safetensors")
    model = es.load_model(file)
    assert (model.provenance.clip_seconds, model.grid.hop_s) == (1.024, 0.01)
    events = es.detect(audio_path(root, 1), model=model, threshold=1e-9)
    assert {event.label for event in events} == set(model.classes)
    assert {(event.onset_s, event.offset_s) for event in events} == {(0.0, 2.0)}
    assert (
        main(
            [
                "evaluate",
                file,
                "data=tut_sed_synthetic_2016",
                f"data.root={root}",
                "data.clip_seconds=1.024",
                "data.num_workers=0",
            ]
        )
        == 0
    )
    first = read_result(points[0].folder)
    assert first is not None
    scored = json.loads(capsys.readouterr().out)
    assert all(
        scored[key] == pytest.approx(first["metrics"][key]) for key in ("psds1_macro", "frame_f1", "frame_error_rate")
    )
