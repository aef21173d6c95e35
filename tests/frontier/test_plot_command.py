"""`efficient-sed plot`: what it writes, and what it refuses before writing anything."""

from __future__ import annotations

import csv
import errno
import json
import os
from pathlib import Path

import pytest
from result_files import make_result, write_run

from efficient_sed.cli.main import main


def plot(capsys: pytest.CaptureFixture[str], *typed: object) -> tuple[int, str, str]:
    status = main(["plot", *map(str, typed)])
    return status, *capsys.readouterr()


def test_picture_table_and_page_are_written_with_seeds_averaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, score in enumerate((0.40, 0.42, 0.44)):
        write_run(tmp_path / "runs", f"tf{seed}", make_result(seed=seed, score=score))
    status, out, _ = plot(capsys, tmp_path / "runs", "--output", tmp_path / "out" / "f.png")
    assert status == 0
    assert "0.420 ± 0.020" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f.csv", "f.html", "f.png", "f.svg"]
    (row,) = csv.DictReader((tmp_path / "out" / "f.csv").read_text(encoding="utf-8").splitlines())
    assert (row["num_runs"], row["seed"]) == ("3", "0 1 2")


def test_energy_is_a_cost_to_draw_against(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Per 10 s of sound: a model of five-second clips needs two passes."""
    for seconds, joules in ((10.0, 3.0), (5.0, 2.5)):
        result = make_result(f"fmn10+tf-{round(seconds)}", signature=f"{seconds:g}")
        result["complexity"] |= {"energy_j_per_clip": joules, "energy_method": "RAPL, 1 package", "seconds": seconds}
        result["training"] |= {"energy_kwh": 0.25, "energy_method": "RAPL, 1 package"}
        write_run(tmp_path / "runs", f"{seconds:g}", result)
    output = tmp_path / "out" / "f.png"
    status, out, _ = plot(capsys, tmp_path / "runs", "--cost", "energy_j_per_clip,training_kwh", "--output", output)
    assert status == 0
    assert "training kWh" in out
    drawn = output.with_suffix(".svg").read_text(encoding="utf-8")
    assert "energy in J per 10 s (lower is better)" in drawn
    assert "ours: CPU, fp32, batch 4" in drawn
    page = output.with_suffix(".html").read_text(encoding="utf-8")
    assert '"energy_j_per_clip":[5.0,"RAPL, 1 package, CPU, fp32, batch 4"]' in page
    rows = list(csv.DictReader(output.with_suffix(".csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["energy_j_per_clip"], row["training_kwh"]) for row in rows] == [("3.0", "0.25"), ("2.5", "0.25")]


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ("joules", "unknown cost 'joules'; allowed: "),
        ("energy_j_per_clp", "unknown cost 'energy_j_per_clp'; did you mean 'energy_j_per_clip'?"),
        ("macs,energy_j_per_clip", "no run has the cost 'energy_j_per_clip', which was not measured; "),
    ],
)
def test_costs_that_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str], cost: str, words: str) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    status, _, err = plot(capsys, tmp_path / "runs", "--cost", cost, "--output", tmp_path / "out" / "f.png")
    assert status == 2
    assert words in err
    assert not (tmp_path / "out").exists()


def test_published_models_need_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = plot(capsys, "--published", "--output", tmp_path / "p.png")
    assert status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.html", "p.png", "p.svg"]
    assert "p.html" in out
    with pytest.raises(SystemExit, match="2"):
        plot(capsys, tmp_path, "--published")
    assert "--published: not allowed with argument runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metrics", "label"), [({"map": 0.3}, "mean average precision"), ({"map": 0.3, "accuracy": 0.5}, "accuracy")]
)
def test_tagging_is_drawn_by_its_own_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metrics: dict[str, float], label: str
) -> None:
    tagged = metrics | {"variant": {"metric": "map"}, "coverage": {"clips_scored": 16}}
    write_run(tmp_path / "runs", "a", make_result(task="tagging", metrics=tagged))
    assert plot(capsys, tmp_path / "runs", "--output", tmp_path / "out" / "f.png")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f.csv", "f.html", "f.png", "f.svg"]
    drawn = (tmp_path / "out" / "f.svg").read_text(encoding="utf-8")
    assert label in drawn
    assert "PSDS1" not in drawn


def test_scores_of_two_kinds_have_a_picture_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    write_run(
        tmp_path / "runs",
        "b",
        make_result(
            task="tagging", metrics={"map": 0.3, "variant": {"metric": "map"}, "coverage": {"clips_scored": 16}}
        ),
    )
    status, _, err = plot(capsys, tmp_path / "runs", "--output", tmp_path / "out" / "f.png")
    assert status == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "f.csv",
        "f.html",
        "f.png",
        "f.svg",
        "f_2.png",
        "f_2.svg",
    }
    assert "2 pictures" in err


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (json.dumps(make_result("fmn04"))[:200], "b/result.json: damaged ("),
        ("", "b/result.json: damaged (Expecting value"),
        ("null", "b/result.json: damaged ("),
        (
            json.dumps(make_result("fmn04", data={"name": "synthetic", "manifest_hash": "beef"})),
            "differ in manifest_hash 'cafe' against 'beef'; plot them apart, or together with --allow-mixed",
        ),
        (
            json.dumps(make_result("fmn04", metrics=make_result()["metrics"] | {"variant": {"median_frames": 7}})),
            "differ in median_frames 9 against 7",
        ),
        (
            json.dumps(make_result("fmn04", complexity=make_result()["complexity"] | {"macs": -1})),
            "b/result.json: damaged (complexity.macs=-1 is not above 0)",
        ),
    ],
)
def test_bad_results_are_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], second: str, message: str
) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    write_run(tmp_path / "runs", "b", {}).write_text(second, encoding="utf-8")
    status, out, err = plot(capsys, tmp_path / "runs", "--output", tmp_path / "out" / "f.png")
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_mixed_results_are_drawn_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    write_run(tmp_path / "runs", "b", make_result("fmn04", data={"name": "synthetic", "manifest_hash": "beef"}))
    assert plot(capsys, tmp_path / "runs", "--allow-mixed", "--output", tmp_path / "out" / "f.png")[0] == 0
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_folder_of_the_same_name_takes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    for name in ("f", "p"):
        (tmp_path / "out" / name).mkdir(parents=True)
    assert plot(capsys, tmp_path / "runs", "--output", tmp_path / "out" / "f.png")[0] == 0
    assert plot(capsys, "--published", "--output", tmp_path / "out" / "p.png")[0] == 0
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert written == {"f.csv", "f.html", "f.png", "f.svg", "p.html", "p.png", "p.svg"}


def test_a_plot_replaces_a_plot_but_no_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    for _ in range(2):
        assert plot(capsys, tmp_path / "runs", "--output", tmp_path / "f.png")[0] == 0
    reason = "another file is there already; give another name, or delete it"
    for ending in ("png", "svg", "html", "csv"):
        file = tmp_path / f"f.{ending}"
        before = file.read_bytes()
        file.write_text("filename,onset,offset,event_label\n")
        status, out, err = plot(capsys, tmp_path / "runs", "--output", tmp_path / "f.png")
        assert (status, out) == (2, "")
        assert err == f"efficient-sed: --output {tmp_path}/f.png: {file} cannot be written ({reason})\n"
        assert file.read_text() == "filename,onset,offset,event_label\n"
        file.write_bytes(before)


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    scandir = os.scandir

    def denied(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert (
        plot(capsys, tmp_path / "runs")[2] == f"efficient-sed: {tmp_path}/runs/a: cannot be read (Permission denied)\n"
    )
    write_run(tmp_path / "runs", "b", make_result())
    with caplog.at_level("WARNING"):
        assert plot(capsys, tmp_path / "runs", "--output", tmp_path / "f.png")[0] == 0
    assert f"{tmp_path}/runs/a: cannot be read (Permission denied); runs in it are left out" in caplog.messages
