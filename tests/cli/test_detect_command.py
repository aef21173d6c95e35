"""`efficient-sed detect`: formats, pictures and pages, and recordings that cannot be read."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from command import Run

import efficient_sed as es
from efficient_sed.errors import CheckpointError
from efficient_sed.models.weights import cards
from efficient_sed.models.weights.cards import DEFAULT_DETECTOR, SYNTHETIC_DETECTOR, get_card
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.file import write_postprocessing
from efficient_sed.postprocessing.median import Median


def test_detect_in_all_formats(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    command = "detect {d}/a.wav --model {model} --threshold 0.05 "
    expected = [
        (round(event.onset_s, 6), round(event.offset_s, 6), event.label)
        for event in es.detect(here["d"] + "/a.wav", here["model"], 0.05)
    ]
    assert expected
    for format_, read in {
        "tsv": lambda text: [
            (float(r["onset"]), float(r["offset"]), r["event_label"])
            for r in csv.DictReader(text.splitlines(), delimiter="\t")
        ],
        "json": lambda text: [(e["onset_s"], e["offset_s"], e["label"]) for e in json.loads(text)[0]["events"]],
        "audacity": lambda text: [
            (float(on), float(off), label) for on, off, label in (line.split("\t") for line in text.splitlines())
        ],
    }.items():
        status, out, err = run(command + f"--format {format_}")
        assert (status, err) == (0, "")
        assert read(out) == expected
        assert run(command + f"--format {format_} --output events.{format_}") == (0, "", "")
        assert (tmp_path / f"events.{format_}").read_text() == out
    status, out, _ = run(command)
    assert status == 0
    assert all(label in out for _, _, label in expected)


def test_detect_draws(run: Run, tmp_path: Path) -> None:
    assert run("detect {d}/a.wav --model {model} --plot picture.png").status == 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("jobs", [1, 2])
def test_detect_reports(run: Run, here: dict[str, str], tmp_path: Path, jobs: int) -> None:
    status, out, _ = run(
        f"detect {{d}}/a.wav --model {{model}} --threshold 0.05 --format tsv --report page.html --jobs {jobs} "
        "--truth {d}/train.tsv"
    )
    assert (status, out.count("\n") > 1) == (0, True)
    (data,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "page.html").read_text(), re.DOTALL)
    told = json.loads(data)
    assert [told[key] for key in ("name", "model", "threshold", "hop", "duration")] == [
        f"{here['d']}/a.wav",
        here["model"],
        0.05,
        0.04,
        0.75,
    ]
    assert told["truth"] == [{"onset": 0.1, "offset": 0.3, "label": "dog"}]
    assert set(told["classes"]) >= {row["event_label"] for row in csv.DictReader(out.splitlines(), delimiter="\t")}


def test_standard_output_by_its_name(here: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("mine\n")
    command = [
        sys.executable,
        "-m",
        "efficient_sed",
        "detect",
        f"{here['d']}/a.wav",
        "--model",
        here["model"],
        "--format",
        "tsv",
        "--output",
        "/dev/stdout",
    ]
    with log.open("a") as file:
        subprocess.run(command, stdout=file, check=True)
    assert log.read_text().startswith("mine\nfilename\tonset\t")


def test_what_cannot_be_read_is_named_and_the_rest_is_kept(run: Run, here: dict[str, str]) -> None:
    files = "{d}/a.wav {d}/absent.wav {d}/empty.wav {d}/b.wav"
    status, out, err = run(f"detect {files} --format tsv --model {{model}} --threshold 0.5")
    assert status == 2
    assert {line.split("\t")[0] for line in out.splitlines()[1:]} == {f"{here['d']}/a.wav", f"{here['d']}/b.wav"}
    assert err.splitlines() == [
        f"efficient-sed: {here['d']}/absent.wav: no such audio file",
        f"efficient-sed: {here['d']}/empty.wav: the audio file is empty (0 bytes)",
    ]


def test_all_that_cannot_be_read_is_named(run: Run, here: dict[str, str]) -> None:
    for options in ("", "--plot x.png", "--format npz --output out"):
        assert run(f"detect {{d}}/absent.wav {options} --model {{model}}") == (
            2,
            "",
            f"efficient-sed: {here['d']}/absent.wav: no such audio file\n",
        )
    status, out, err = run("detect {d}/absent.wav {d}/empty.wav --model {model}")
    assert (status, out, err.count("\n")) == (2, "", 2)


def test_detect_names_what_it_cannot_read(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(f"{here['d']}/a.wav", tmp_path / "in")
    (tmp_path / "in" / "damaged.wav").write_bytes(b"RIFF")
    status, out, err = run("detect in --model {model} --threshold 0.5 --format tsv")
    assert status == 2
    assert "in/a.wav" in out
    assert re.fullmatch(r"efficient-sed: in/damaged\.wav: not readable as audio[^\n]*\n", err)


@pytest.mark.parametrize("options", ["", "--jobs 2", "--plot x.png", "--format jams --output found"])
def test_a_folder_of_which_nothing_can_be_read(run: Run, tmp_path: Path, options: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "damaged.wav").write_bytes(b"RIFF")
    status, out, err = run(f"detect in --model {{model}} {options}")
    assert (status, out) == (2, "")
    assert err.startswith("efficient-sed: in/damaged.wav: not readable as audio")
    assert not (tmp_path / "found").exists()


def test_an_exported_model_detects_the_same_without_pytorch(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    status, out, _ = run("export {model} --format onnx --output m.onnx")
    assert status == 0
    assert "wrote m.onnx" in out
    expected = run("detect {d}/a.wav --model {model} --threshold 0.05 --format tsv").out
    code = (
        "import sys; sys.modules['torch'] = None; from efficient_sed.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    typed = [
        "detect",
        f"{here['d']}/a.wav",
        "--model",
        "m.onnx",
        "--threshold",
        "0.05",
        "--format",
        "tsv",
        "--report",
        "page.html",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *typed], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected
    assert (tmp_path / "page.html").is_file()
    assert expected.count("\n") > 2
    status, _, err = run("detect {d}/a.wav --model {d}/text.onnx")
    assert (status, err.count("\n")) == (2, 1)


def test_a_file_of_post_processing(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    """Options, table, page and the terminal agree on a window and a threshold for each class."""
    tuned = Postprocessing(Chain(), Chain((Median((3, 5)),)), (0.05, 0.06), 0.04)
    write_postprocessing(tmp_path / "tuned.json", tuned, ["dog", "siren"])
    options = "--model {model} --postprocessing tuned.json"
    status, out, err = run(f"detect {{d}}/a.wav {options} --format tsv --report page.html")
    assert (status, err) == (0, "efficient-sed: thresholds tuned for event F1: 0.05 to 0.06\n")
    events = es.detect(f"{here['d']}/a.wav", here["model"], postprocessing=tmp_path / "tuned.json")
    found = list(csv.DictReader(out.splitlines(), delimiter="\t"))
    assert [(float(row["onset"]), row["event_label"]) for row in found] == [(e.onset_s, e.label) for e in events]
    assert {e.label for e in events} == {"dog", "siren"}
    (data,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "page.html").read_text(), re.DOTALL)
    assert (json.loads(data)["classes"], json.loads(data)["thresholds"]) == (["dog", "siren"], [0.05, 0.06])
    status, _, err = run(f"detect {{d}}/a.wav {options} --threshold dog=0.5 --format tsv")
    assert (status, err) == (0, "efficient-sed: other classes: thresholds tuned for event F1: 0.06\n")
    assert run(f"detect {{d}}/a.wav {options} --format npz --output out").err == "wrote 1 files into out\n"
    again = run("detect {d}/a.wav --model {model} --format npz --output out")
    assert (again.status, "was made with postprocessing=tuned.json (" in again.err) == (2, True)


def test_without_a_model_it_is_the_released_detector_of_real_sounds(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str, path: Path, _: str | None) -> NoReturn:
        raise CheckpointError(f"download failed: put {path.name} into {path.parent} by hand (from {url})")

    home, card = tmp_path / "home", get_card(DEFAULT_DETECTOR)
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(home))
    monkeypatch.setattr(cards, "download", fail)
    for command in ("detect", "listen"):
        status, out, err = run(f"{command} {{d}}/a.wav")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert f"no --model given: weights {card.name!r} are not here" in err
        assert f"put {card.file} into {home} by hand" in err
        assert f"--model {SYNTHETIC_DETECTOR} is here, but knows generated sounds" in err
    home.mkdir()
    state = es.create_model(card.architecture, num_classes=card.num_classes).state_dict()
    torch.save(state, home / card.file)
    status, out, err = run("detect {d}/a.wav --format audacity --threshold 0.99")
    assert (status, out) == (0, "")
    assert err == f"efficient-sed: no --model given, using {card.name}: {card.summary}\n"
