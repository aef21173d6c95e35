"""`efficient-sed data convert`: files and folders from one format into another, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import TSV, Run

from efficient_sed.registry import ANNOTATION_FORMATS

EVENTS = TSV + "a.wav\t0.5\t1.5\tdog\na.wav\t1.0\t1.25\tcat\nsub/b.flac\t0\t0.75\tdog\nquiet.wav\t\t\t\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.tsv").write_text(EVENTS)
    for name in ("a.wav", "sub/b.flac", "quiet.wav"):
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(32_000), 16_000)
    return tmp_path / "t.tsv"


@pytest.mark.parametrize("name", ANNOTATION_FORMATS.names())
def test_there_and_back(run: Run, table: Path, name: str) -> None:
    """Into a folder with a file for each recording, and back into one table under the names of the audio."""
    status, out, _ = run(f"data convert t.tsv there --to {name}")
    num_files = 2 if name == "rttm" else 3
    assert (status, out) == (
        0, f"t.tsv: 3 recordings, 3 events of 2 classes\nthere: {num_files} files, {name}\n"
    )  # fmt: skip
    ending = ANNOTATION_FORMATS.get(name).ending
    assert (table.parent / f"there/sub/b{ending}").is_file()
    status, out, _ = run("data convert there back.tsv --audio audio")
    assert status == 0
    lost = "" if num_files == 3 else "quiet.wav\t\t\t\n"
    rows = sorted(EVENTS.replace(lost, "").replace("\t0\t", "\t0.0\t").splitlines())
    assert sorted((table.parent / "back.tsv").read_text().splitlines()) == rows


def test_what_is_there_stays(run: Run, table: Path) -> None:
    Path("there.rttm").write_text("mine")
    status, out, err = run("data convert t.tsv there.rttm")
    assert (status, out, err) == (
        2, "", "efficient-sed: there.rttm: is there already; give another name, or --overwrite\n"
    )  # fmt: skip
    assert Path("there.rttm").read_text() == "mine"
    assert run("data convert t.tsv there.rttm --overwrite")[0] == 0
    assert Path("there.rttm").read_text().startswith("SPEAKER a 1 0.500 1.000 <NA> <NA> dog <NA> <NA>\n")
    assert run("data convert t.tsv t.tsv --overwrite")[0] == 2
    assert table.read_text() == EVENTS
    Path("tables").mkdir()
    Path("tables/quiet.txt").write_text("mine")
    assert run("data convert t.tsv tables --to audacity")[0] == 2
    assert [path.name for path in Path("tables").iterdir()] == ["quiet.txt"]  # nothing half-written


def test_what_is_lost_is_said(run: Run, table: Path, caplog: pytest.LogCaptureFixture) -> None:
    del table
    with caplog.at_level("INFO"):
        assert run("data convert t.tsv t.rttm")[0] == 0
    assert "t.tsv: read as tsv" in caplog.messages
    assert "t.rttm: not held by rttm, left out: 1 recordings without events (quiet.wav)" in caplog.messages


def test_columns_and_formats_that_are_given(run: Run, table: Path) -> None:
    del table
    Path("own.txt").write_text("Wer\tvon\tbis\nhund\t0\t1\n")
    named = "--column onset=von --column offset=bis --column label=Wer"
    assert run(f"data convert own.txt own.tsv --from csv {named}")[0] == 0
    assert Path("own.tsv").read_text() == TSV + "own\t0.0\t1.0\thund\n"
    status, _, err = run("data convert t.tsv o.json --from jams")
    assert (status, err) == (
        2, "efficient-sed: t.tsv: not JAMS: no list `annotations` with a `namespace` each\n"
    )  # fmt: skip


def test_lengths_of_the_audio(run: Run, table: Path) -> None:
    del table
    assert run("data convert t.tsv out --to textgrid --audio audio")[0] == 0
    assert "xmax = 2.000000" in Path("out/sub/b.TextGrid").read_text()


def test_events_behind_the_end_are_named(run: Run, table: Path, caplog: pytest.LogCaptureFixture) -> None:
    table.write_text(TSV + "a.wav\t0.5\t2.0\tdog\nsub/b.flac\t0\t2.75\tdog\n")
    assert run("data convert t.tsv late.tsv --audio audio")[0] == 0
    late = [message for message in caplog.messages if "an event ends" in message]
    assert late == ["sub/b.flac: an event ends at 2.75 s, behind the recording's end at 2 s"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a.wav", "a.txt/b.wav"],
            "there/a.txt/b.txt: cannot be written, since there/a.txt is a file that is written, too; rename one",
        ),
        (["a.wav", "x" * 300 + ".wav"], f"there/{'x' * 300}.txt: cannot be written (File name too long)"),
        (
            ["a.wav", "../b.wav"],
            "t.tsv: recording '../b.wav' would be written outside there; give a file, not a folder",
        ),
    ],
)
def test_all_or_nothing(run: Run, table: Path, names: list[str], message: str) -> None:
    table.write_text(TSV + "".join(f"{name}\t0\t1\tdog\n" for name in names))
    assert run("data convert t.tsv there --to audacity") == (2, "", f"efficient-sed: {message}\n")
    assert not Path("there").exists()


def test_a_name_that_just_fits(run: Run, table: Path) -> None:
    table.write_text(TSV + f"{'x' * 251}.wav\t0\t1\tdog\n")
    assert run("data convert t.tsv there --to audacity")[0] == 0
    assert [len(path.name) for path in Path("there").iterdir()] == [255]


@pytest.mark.parametrize(
    ("target", "lost"),
    [
        ("o.tsv", ["lengths of 1 recordings", "more than 4 decimals of 1 scores"]),
        ("o.rttm", ["lengths of 1 recordings", "more than 4 decimals of 1 scores"]),
        ("o.txt", ["scores of 1 events", "lengths of 1 recordings", "the name sub/a.wav, read again as o"]),
        ("a.txt", ["scores of 1 events", "lengths of 1 recordings", "the name sub/a.wav, read again as a"]),
        ("o.TextGrid", ["scores of 1 events", "the name sub/a.wav, read again as o"]),
        (
            "o.selections.txt --to raven",
            [
                "lengths of 1 recordings",
                "more than 4 decimals of 1 scores",
                "the name sub/a.wav, read again as a.wav",
            ],
        ),
        ("o.jams", ["more than 4 decimals of 1 scores"]),
        ("folder --to audacity", ["scores of 1 events", "lengths of 1 recordings"]),
        ("o.json", ["more than 4 decimals of 1 scores"]),
        ("o.tsv --audio audio", ["more than 4 decimals of 1 scores"]),
    ],
)
def test_every_loss_is_said(
    run: Run, table: Path, target: str, lost: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(table.parent / "audio/sub/a.wav", np.zeros(32_000), 16_000)
    events = '[{"onset_s": 0, "offset_s": 1, "label": "dog", "score": 0.123456}]'
    Path("f.json").write_text(f'[{{"file": "sub/a.wav", "duration_s": 2, "events": {events}}}]')
    assert run(f"data convert f.json {target}")[0] == 0
    said = [message.partition("left out: ")[2] for message in caplog.messages if "left out: " in message]
    assert sorted(said) == sorted(lost)


def test_an_empty_label_track(run: Run, table: Path) -> None:
    del table
    Path("quiet.txt").touch()
    assert run("data convert quiet.txt quiet.tsv")[:2] == (
        0, "quiet.txt: 1 recordings, 0 events of 0 classes\nquiet.tsv: tsv\n"
    )  # fmt: skip
    assert Path("quiet.tsv").read_text() == TSV + "quiet\t\t\t\n"


@pytest.mark.parametrize(
    ("name", "text", "column", "message"),
    [
        ("a.txt", "0\t1\tdog\n", "onset=x", "onset=x is not used: audacity has no columns"),
        ("a.rttm", "SPEAKER a 1 0 1 <NA> <NA> x <NA> <NA>\n", "label=x", "label=x is not used: rttm has no columns"),
        (
            "a.TextGrid", '"ooTextFile"\n"TextGrid"\n0\n2\n<exists>\n0\n', "onset=x",
            "onset=x is not used: textgrid has columns for label alone",
        ),
    ],
)  # fmt: skip
def test_columns_of_a_format_without_any(
    run: Run, table: Path, caplog: pytest.LogCaptureFixture, name: str, text: str, column: str, message: str
) -> None:
    del table
    Path(name).write_text(text)
    assert run(f"data convert {name} o.json --column {column}").status == 0
    assert f"{name}: {message}" in caplog.messages


def test_milliseconds_are_refused(run: Run, table: Path) -> None:
    del table
    Path("a.csv").write_text("start_ms,end,label\n1,2,x\n")
    status, _, err = run("data convert a.csv o.json --column onset=start_ms")
    advice = "holds milliseconds, and times are seconds: divide it by 1000, and name it without ms"
    assert (status, err) == (2, f"efficient-sed: a.csv: column 'start_ms' {advice}\n")
    assert not Path("o.json").exists()
