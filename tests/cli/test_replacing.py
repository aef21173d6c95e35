"""What a written file may replace: a table of its kind, a picture or a page; never recordings or annotations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from adding import added
from command import Run

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.registry import ANNOTATION_FORMATS

ANNOTATIONS = "filename\tonset\toffset\tevent_label\na.wav\t0.1\t0.3\tdog\n"
FORMATS = ("tsv", "json", "rttm", "jams", "audacity")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path: Path = tmp_path_factory.mktemp("model") / "model.safetensors"
    es.save_model(es.create_model("fmn04", classes=["dog", "siren"]), path)
    return path


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=12_000) * 0.1, 16_000)
    return tmp_path / "a.wav"


def detect(model: Path, recording: Path, *options: object) -> int:
    return main(["detect", str(recording), "--model", str(model), "--threshold", "0.05", *map(str, options)])


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("there", ["nothing", "empty", *FORMATS, "annotations", "sound"])
def test_a_text_of_detections(
    model: Path, recording: Path, capsys: pytest.CaptureFixture[str], written: str, there: str
) -> None:
    """Replaces detections of its own format, and anything with `--overwrite`."""
    output = recording.with_name("found.txt")
    if there in FORMATS:
        assert detect(model, recording, "--format", there, "--output", output) == 0
    elif there != "nothing":
        content = {"empty": b"", "annotations": ANNOTATIONS.encode(), "sound": recording.read_bytes()}
        output.write_bytes(content[there])
    before = output.read_bytes() if output.exists() else b""
    is_replaced = there in ("nothing", "empty") or (there == written != "audacity")
    assert detect(model, recording, "--format", written, "--output", output) == (0 if is_replaced else 2)
    err = capsys.readouterr().err
    assert ("another file is there already; give another name, or delete it" in err) is not is_replaced
    if not is_replaced:
        assert output.read_bytes() == before
        assert detect(model, recording, "--format", written, "--output", output, "--overwrite") == 0
        assert output.read_bytes() != before or there == written


@pytest.mark.parametrize(("option", "name"), [("--plot", "found.png"), ("--report", "found.html")])
def test_a_picture_and_a_page(
    model: Path, recording: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    """Replace pictures and pages of the program, and anything with `--overwrite`."""
    output = recording.with_name(name)
    output.write_text("<!DOCTYPE html><title>notes</title>")
    assert detect(model, recording, option, output) == 2
    assert "another file is there already; give another name, or delete it" in capsys.readouterr().err
    assert "notes" in output.read_text()
    assert detect(model, recording, option, output, "--overwrite") == 0
    assert b"notes" not in output.read_bytes()
    assert detect(model, recording, option, output) == 0


@pytest.mark.parametrize("option", ["--output", "--output --overwrite", "--plot", "--report"])
def test_no_recording_that_is_read(
    model: Path, recording: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """Under another name, too: a link to the recording is the recording."""
    name, *flags = option.split()
    before = recording.read_bytes()
    target = recording.with_suffix({"--plot": ".png", "--report": ".html"}.get(option, ".tsv"))
    target.symlink_to(recording)
    assert detect(model, recording, *flags, name, target) == 2
    assert "is one of the recordings, and would be lost; give another name" in capsys.readouterr().err
    assert recording.read_bytes() == before


@pytest.mark.parametrize(("there", "status"), [(ANNOTATIONS, 2), ('{"part": "train", "id": "a"}\n', 0), ("", 0)])
def test_a_manifest(recording: Path, there: str, status: int) -> None:
    folder = recording.parent
    for part in ("train", "validation", "test"):
        (folder / f"{part}.tsv").write_text(ANNOTATIONS.replace("a.wav", f"{part}.wav"))
        (folder / f"{part}.wav").write_bytes(recording.read_bytes())
    manifest = folder / "clips.jsonl"
    manifest.write_text(there)
    words = ["data=folder", f"data.root={folder}", "data.audio=.", "data.num_workers=0", "--manifest", str(manifest)]
    assert main(["data", "check", *words]) == status
    assert (manifest.read_text() == there) is (status == 2)


SOURCE = '''
from efficient_sed.data.annotations.contract import AnnotationFormat
from efficient_sed.registry import ANNOTATION_FORMATS


@ANNOTATION_FORMATS.register("lines")
class Lines(AnnotationFormat):
    """A line an event."""

    ending = ".lines"
    holds_many = {holds_many}

    def format(self, annotations):
        return "LINES\\n" + "".join(f"{{event.label}}\\n" for found in annotations.events.values() for event in found)

    def is_detections(self, start):
        return start.startswith("LINES")
'''


@pytest.mark.parametrize("holds_many", [True, False])
def test_a_format_from_one_file_is_written(model: Path, recording: Path, tmp_path: Path, holds_many: bool) -> None:
    with added(ANNOTATION_FORMATS, tmp_path / "plugin", "lines", SOURCE.format(holds_many=holds_many)):
        for _ in range(2):
            assert detect(model, recording, "--format", "lines", "--output", tmp_path / "found.lines") == 0
        assert (tmp_path / "found.lines").read_text().split("\n")[1] in ("dog", "siren")
        if not holds_many:
            assert detect(model, recording, "--format", "lines", "--output", f"{tmp_path}/out/") == 0
            assert (tmp_path / "out" / "a.lines").read_text().startswith("LINES\n")


def test_a_page_about_errors(run: Run, tmp_path: Path) -> None:
    command = "evaluate {model} {own} --report errors.html"
    (tmp_path / "errors.html").write_text("my notes")
    assert run(command) == (
        2,
        "",
        "efficient-sed: --report errors.html: cannot be written (another file is there already; give another name, or "
        "delete it)\n",
    )
    (tmp_path / "errors.html").unlink()
    for _ in range(2):  # a page of ours is replaced
        status, out, _ = run(command)
        assert (status, json.loads(out)["part"]) == (0, "test")
    (data,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "errors.html").read_text(), re.DOTALL)
    told = json.loads(data)
    assert told["title"] == "model.safetensors on folder, test part"
    assert [error["kind"] for error in told["errors"]].count("miss") == told["numErrors"]["miss"] == 1
