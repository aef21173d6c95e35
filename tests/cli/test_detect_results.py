"""Results of `efficient-sed detect`: replaced, completed, and never mixed."""

from __future__ import annotations

import csv
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from command import Run

from efficient_sed.inference import detect_files
from efficient_sed.inference.detect_one import Found
from efficient_sed.inference.recordings import Recording


def visible(folder: Path) -> dict[str, int]:
    """Files of a folder and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("format_", ["tsv", "json", "rttm", "jams"])
def test_results_take_the_place_of_results(run: Run, tmp_path: Path, format_: str) -> None:
    for threshold in (0.05, 0.999999, 0.05):  # without an event in between
        assert (
            run(
                f"detect {{d}}/a.wav --model {{model}} --threshold {threshold} --format {format_} "
                "--output out.txt --plot out.png --report out.html"
            ).status
            == 0
        )
    first = (tmp_path / "out.txt").read_text()
    (tmp_path / "there").write_text(f"mine\n{first}")
    assert run(f"detect {{d}}/a.wav --model {{model}} --format {format_} --output there").status == 2
    assert (tmp_path / "there").read_text() == f"mine\n{first}"


@pytest.mark.parametrize(("format_", "suffix"), [("audacity", ".txt"), ("jams", ".jams"), ("npz", ".npz")])
def test_a_folder_of_results_is_gone_on_with(run: Run, tmp_path: Path, format_: str, suffix: str) -> None:
    command = f"detect {{d}}/a.wav {{d}}/b.wav --model {{model}} --threshold 0.5 --format {format_} --output out"
    assert (
        run(f"detect {{d}}/a.wav --model {{model}} --threshold 0.5 --format {format_} --output out/").status == 0
    )  # as if stopped before the second
    first = visible(tmp_path / "out")
    assert run(f"{command} --jobs 2") == (
        0,
        "",
        "wrote 1 files into out; 1 were finished before (--overwrite makes them anew)\n",
    )
    both = visible(tmp_path / "out")
    assert {name: both[name] for name in first} == first
    assert sorted(both) == [f"a{suffix}", f"b{suffix}"]
    assert run(command) == (0, "", "wrote 0 files into out; 2 were finished before (--overwrite makes them anew)\n")
    assert visible(tmp_path / "out") == both
    assert run(f"{command} --overwrite").err == "wrote 2 files into out\n"
    assert all(written > both[name] for name, written in visible(tmp_path / "out").items())


def test_results_are_not_mixed(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    """Other options, model or recording, or a foreign file: each is an error, and nothing is written."""
    shutil.copy(here["model"], tmp_path / "other.safetensors")
    (tmp_path / "d").mkdir()
    shutil.copy(f"{here['d']}/b.wav", tmp_path / "d" / "a.wav")
    base = "--format audacity --output out"
    assert run(f"detect {{d}}/a.wav --model {{model}} {base}").status == 0
    before = visible(tmp_path / "out")
    (tmp_path / "out" / "b.txt").write_text("1\t2\tmine\n")
    advice = "; give another folder as --output DIR, or --overwrite to make it anew\n"
    for command, reason in (
        (
            f"detect {{d}}/a.wav --model {{model}} {base} --threshold 0.3",
            "out/a.txt: was made with threshold=auto, now 0.3",
        ),
        (
            f"detect {{d}}/a.wav --model {{model}} {base} --median 1",
            "out/a.txt: was made with median_frames=None, now 1",
        ),
        (f"detect {{d}}/a.wav --model other.safetensors {base}", "out/a.txt: was made with model=model.safetensors ("),
        (
            f"detect d/a.wav --model {{model}} {base}",
            "out/a.txt: was made of another recording, or of this one before it was changed",
        ),
        (
            f"detect {{d}}/a.wav {{d}}/b.wav --model {{model}} {base}",
            "out/b.txt: is there already, and not known to be a result of detect",
        ),
    ):
        status, _, err = run(command)
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith(f"efficient-sed: --output {reason}")
        assert err.endswith(advice)
        assert visible(tmp_path / "out").items() >= before.items()
    assert (tmp_path / "out" / "b.txt").read_text() == "1\t2\tmine\n"
    assert (
        run(f"detect {{d}}/b.wav --model {{model}} {base} --threshold 0.3 --overwrite").status == 0
    )  # each result has options of its own
    assert run(f"detect {{d}}/a.wav --model {{model}} {base}").err.startswith(
        "wrote 0 files into out; 1 were finished before"
    )
    for model in ("typo", "absent.onnx", "absent.safetensors", "mn10_im"):
        assert run(f"detect {{d}}/a.wav --model {model} --format audacity --output out2/").status == 2
        assert not (tmp_path / "out2").exists()
    (tmp_path / "out" / ".detect-audacity.json").write_text("{}")
    assert "damaged" in run(f"detect {{d}}/a.wav --model {{model}} {base}").err


def test_overwriting_that_was_stopped_is_gone_on_with(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of before is no result of the new options."""
    command = "detect {d}/a.wav {d}/b.wav --model {model} --format audacity --output out"
    assert run(command).status == 0
    before = visible(tmp_path / "out")
    detect_one, listened = detect_files.detect_one, []

    def interrupted(recording: Recording, *rest: Any) -> Found:
        listened.append(recording.name)
        if len(listened) == 2:
            signal.raise_signal(signal.SIGTERM)
        return detect_one(recording, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(detect_files, "detect_one", interrupted)
        status, _, err = run(f"{command} --threshold 0.05 --overwrite")
    assert (status, err) == (143, "efficient-sed: stopped by SIGTERM; what is finished is kept\n")
    assert visible(tmp_path / "out")["b.txt"] == before["b.txt"]
    assert run(f"{command} --threshold 0.05").err.startswith("wrote 1 files into out; 1 were finished before")
    assert visible(tmp_path / "out")["b.txt"] > before["b.txt"]


def test_detect_writes_a_file_for_each_recording(run: Run, tmp_path: Path) -> None:
    for format_, suffix in (("audacity", ".txt"), ("jams", ".jams"), ("npz", ".npz")):
        status, out, err = run(
            f"detect {{d}}/a.wav {{d}}/b.wav --model {{model}} --threshold 0.05 "
            f"--format {format_} --output found_{format_}"
        )
        assert (status, out, err) == (0, "", f"wrote 2 files into found_{format_}\n")
        assert sorted(visible(tmp_path / f"found_{format_}")) == [f"a{suffix}", f"b{suffix}"]
    one = run("detect {d}/a.wav --model {model} --threshold 0.05 --format audacity").out
    assert (tmp_path / "found_audacity" / "a.txt").read_text() == one != ""


def test_detect_keeps_what_is_finished(
    run: Run, here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second of three recordings."""
    listened: list[str] = []

    def interrupted(recording: Recording, *rest: Any) -> Found:
        listened.append(recording.name)
        if len(listened) == 2:
            raise KeyboardInterrupt
        return detect_one(recording, *rest)

    detect_one = detect_files.detect_one
    monkeypatch.setattr(detect_files, "detect_one", interrupted)
    status, _, err = run("detect {d}/a.wav {d}/b.wav {d}/c.wav --model {model} --format tsv --output found.tsv")
    assert status == 130
    assert "stopped early: found.tsv holds 1 recordings\n" in err
    assert {
        row["filename"] for row in csv.DictReader((tmp_path / "found.tsv").read_text().splitlines(), delimiter="\t")
    } == {f"{here['d']}/a.wav"}
    listened[:] = []
    before = (tmp_path / "found.tsv").read_text()
    (tmp_path / "found.tsv").write_text(f"{before}whole\t\t\t\t\n")  # as if it had come to its end
    assert run("detect {d}/a.wav {d}/b.wav {d}/c.wav --model {model} --format tsv --output found.tsv").status == 130
    assert (tmp_path / "found.tsv").read_text() == f"{before}whole\t\t\t\t\n"
    assert (tmp_path / "found.partial.tsv").read_text() == before


def test_recordings_of_one_name_differ_by_their_folders(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(f"{here['d']}/a.wav", tmp_path / folder / "a.wav")
    status, out, _ = run("detect one/a.wav two/a.wav --model {model} --threshold 0.05 --format rttm")
    assert status == 0
    assert {line.split()[1] for line in out.splitlines()} == {"one/a", "two/a"}
    status, _, err = run("detect one/a.wav two/a.wav --model {model} --format jams --output found")
    assert (status, err.count("\n")) == (2, 1)
    assert "their results would both be called a" in err
    status, _, _ = run(
        "detect one --model {model} --format jams --output found"
    )  # a folder was given, and one is written
    assert (status, (tmp_path / "found" / "a.jams").is_file()) == (0, True)
