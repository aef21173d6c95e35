"""A few attempts of every kind of `benchmarks/reliability/fuzz.py`, and what it found before."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from reliability import fuzz
from reliability.inputs import Kind, Wrong, check_events, check_samples
from reliability.inputs_annotations import prepare_folder
from reliability.inputs_containers import (
    CLASSES,
    _prepare_index,
    _prepare_packed,
    _prepare_pseudo_labels,
    _rows,
)
from reliability.mutations import change_value, damage, damaged_json, damaged_table

from efficient_sed.data.events import Event
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.storage.index import index_file, look_up
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.files.json import parse_json
from efficient_sed.models.sed import Provenance
from efficient_sed.teachers._journal import open_journal

FAST = [
    name
    for name in fuzz.KINDS
    if name not in ("onnx", "packed", "checkpoint", "overrides", "preset", "esc50", "urbansound8k", "psds_clips")
]


def attempts(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: range) -> list[fuzz.Outcome]:
    """In this process, so that a test needs no others; without their alarms."""
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(folder / "home"))
    monkeypatch.setattr(fuzz.signal, "setitimer", lambda *_: None)
    kind = fuzz.KINDS[name]
    kind.prepare(folder)
    return [fuzz.attempt(kind, number, folder) for number in numbers]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAST)
def test_damaged_inputs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = attempts(name, tmp_path, monkeypatch, range(8))
    assert [outcome for outcome in outcomes if outcome.verdict not in ("accepted", "refused")] == []
    assert any(outcome.verdict == "refused" for outcome in outcomes)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", fuzz.KINDS)
def test_many_damaged_inputs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = attempts(name, tmp_path, monkeypatch, range(1000, 1040))
    assert [outcome for outcome in outcomes if outcome.verdict not in ("accepted", "refused")] == []


def crash(rng: random.Random, folder: Path) -> bool:  # noqa: ARG001 (a kind's signature)
    number = rng.random()
    if number < 0.2:
        os.kill(os.getpid(), 11)
    if number < 0.4:
        raise KeyError("a traceback")
    if number < 0.5:
        raise DataError("fine")
    if number < 0.6:
        raise Wrong("a lie")
    if number < 0.7:
        np.zeros(2**40)
    if number < 0.73:
        time.sleep(3600)
    return True


def test_everything_wrong_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count goes on behind a crash, and its table has every number once."""
    monkeypatch.setattr(fuzz, "STUCK_S", 3.0)
    kind = Kind("crash", "crashes", 1.0, lambda _: None, crash)
    numbers = [6, 0, 3, 1, 11, 4, 30, 7]  # one of each
    outcomes = fuzz.fuzz(kind, numbers, tmp_path)
    assert [outcome.number for outcome in outcomes] == numbers
    assert {outcome.verdict for outcome in outcomes} == {
        "accepted",
        "refused",
        "traceback",
        "wrong value",
        "memory",
        "hang",
        "process ended by SIGSEGV",
    }


def test_what_must_hold_is_checked() -> None:
    with pytest.raises(Wrong):
        check_events([Event(0.5, 0.4, "a")], 1.0, ["a"])
    with pytest.raises(Wrong):
        check_events([Event(0.5, float("nan"), "a")], 1.0, ["a"])
    with pytest.raises(Wrong):
        check_samples(np.full(10, np.nan, np.float32), 10)


def test_an_attempt_is_its_number() -> None:
    for make in (
        lambda rng: damage(b"x" * 500, rng),
        lambda rng: damaged_json('{"a": [1, 2]}', rng),
        lambda rng: damaged_table("a\tb\n1\t2\n", "\t", rng),
    ):
        made = [make(random.Random(number)) for number in range(50)]
        assert made == [make(random.Random(number)) for number in range(50)]
        assert len(set(made)) > 25
    assert len({repr(change_value({"a": [1, {"b": 2}]}, random.Random(number))) for number in range(50)}) > 25


@pytest.mark.parametrize("text", ["[" * 100_000, "1" + "0" * 5000, "1e400", "NaN", "-Infinity", '"\\ud800"', "", "{"])
def test_json_that_cannot_be_used(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            "filename\tonset\toffset\tevent_label\ntest_0.wav\t0.1\t0.2\tdog\tbark",
            "test.tsv:2: has more fields than the 4 columns of the header",
        ),
        (
            "filename\tonset\tonset\toffset\tevent_label\ntest_0.wav\t0.1\t0.1\t0.2\tdog",
            "test.tsv: column 'onset' is there twice",
        ),
        (
            f"filename\tonset\toffset\tevent_label\n{'x' * 200_000}\t0.1\t0.2\tdog",
            "no such audio file (File name too long)",
        ),
        (
            "filename\tonset\toffset\tevent_label\ntest_0.wav\t0.1\t0.2\tdo\x1b[31mg",
            r"label 'do\x1b[31mg' is not text on one line",
        ),
        (
            "filename\tonset\toffset\tevent_label\n./train_0.wav\t0.1\t0.2\tdog",
            "train_0.wav: stands in the parts train and test",
        ),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, table: str, reason: str) -> None:
    prepare_folder(tmp_path)
    (tmp_path / "test.tsv").write_text(table + "\n")
    with pytest.raises(DataError) as caught:
        compose_run(["data=folder", f"data.root={tmp_path}"]).data.load()
    assert reason in str(caught.value).replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_offset_s", np.nan), ("event_offset_s", 99.0), ("event_onset_s", -1.0), ("event_class", -1),
        ("event_class", 7), ("first", -5), ("first", 10**9), ("length", 3),
        ("scale", 0.0), ("duration_s", np.inf), ("event_first", 10**6), ("train", -1), ("train", 10**6), ("train", 3),
    ],
)  # fmt: skip
def test_packed_tables_that_make_no_sense(tmp_path: Path, name: str, value: float) -> None:
    """Each was read as something else before: a negative index counts from the end."""
    _prepare_packed(tmp_path)
    path = tmp_path / "changed.h5"
    path.write_bytes((tmp_path / "original.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file[name][1] = value
    with pytest.raises(DataError, match=r"changed\.h5: damaged"):
        compose_run(["data=packed", f"data.root={path}"]).data.load()


def test_pseudo_labels_on_no_grid(tmp_path: Path) -> None:
    _prepare_pseudo_labels(tmp_path)
    with h5py.File(tmp_path / "original.h5", "r+") as file:
        file.attrs["frame_hop_s"] = np.nan
    with pytest.raises(DataError, match="its frames last nan s"):
        PseudoLabels(tmp_path / "original.h5", CLASSES)


def test_an_index_with_nonsense_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path / "home"))
    _prepare_index(tmp_path)
    path = index_file(tmp_path / "audio")
    for name, value in (
        ("duration_s", np.array([np.nan, 0.5, 0.5])),
        ("digest", np.zeros(5, np.uint8)),
        ("num_bytes", np.array([-1, 1, 1])),
    ):
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
        np.savez(path, **(arrays | {name: value}))
        assert [entry.duration_s for entry in look_up(tmp_path / "audio", _rows(tmp_path), 1)] == [0.5] * 3


@pytest.mark.parametrize(
    "left",
    [b"clip\x01\x00\xff\xff\xff\xff\x00\x00\x00\x00x", b"clip" + bytes(10), b"clip" + bytes(4096)],
    ids=["four thousand million frames", "nothing, whose checksum is zero", "zeros"],
)
def test_a_journal_that_claims_more_than_it_has(tmp_path: Path, left: bytes) -> None:
    header = {"classes": ["a"] * 447}
    with open_journal(tmp_path / "x.part", header) as journal:
        journal.append("clip", np.zeros((447, 3), np.float16))
    path = tmp_path / "x.part"
    with path.open("ab") as file:
        file.write(left)
    with open_journal(path, header) as journal:
        assert len(journal) == 1
    path.write_bytes(b'{"classes": 5}\n')
    with pytest.raises(DataError, match="not written by this command"), open_journal(path, header):
        pass


@pytest.mark.parametrize(
    "values",
    [
        {"clip_seconds": float("nan")},
        {"clip_seconds": 0.0},
        {"clip_seconds": 1e9},
        {"median_frames": 4},
        {"median_frames": -1},
        {"task": "guess"},
    ],
)
def test_provenance_that_makes_no_sense(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="is not allowed"):
        Provenance(**values)


@pytest.mark.parametrize(
    "override",
    ["data.clip_seconds=1e308", "train.lr_head=" + "9" * 400, "seed=" + "9" * 5000, "train.epochs=" + "[" * 3000],
)
def test_options_without_measure(override: str) -> None:
    with pytest.raises(ConfigError):
        compose_run([override])
