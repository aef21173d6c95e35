"""True events of one recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.data.annotations.truth import read_truth
from efficient_sed.data.events import Event
from efficient_sed.errors import DataError

TABLE = """filename\tonset\toffset\tevent_label
x/a.wav\t1\t2\tdog
x/a.wav\t1.5\t3\tdog
b.wav\t4\t10.2\tcat
y/c.wav\t0\t1\tdog
z/c.wav\t0\t1\tcat
d.wav\t\t\t
"""


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        ("x/a.wav", [Event(1.0, 3.0, "dog")]),
        ("elsewhere/a.wav", [Event(1.0, 3.0, "dog")]),
        ("b.wav", [Event(4.0, 10.0, "cat")]),  # cut at the file's end
        ("z/c.wav", [Event(0.0, 1.0, "cat")]),
        ("d.wav", []),
    ],
)
def test_a_recording_by_its_path_or_name(tmp_path: Path, recording: str, expected: list[Event]) -> None:
    (tmp_path / "t.tsv").write_text(TABLE)
    assert list(read_truth(tmp_path / "t.tsv", recording, 10.0)) == expected


def test_a_format_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(TABLE)
    assert read_truth(tmp_path / "t.tsv", "x/a.wav", 10.0, "tsv") == (Event(1.0, 3.0, "dog"),)
    with pytest.raises(DataError, match=r"t\.tsv: 'a\.wav' is no recording in it"):
        read_truth(tmp_path / "t.tsv", "x/a.wav", 10.0, "rttm")


@pytest.mark.parametrize(
    ("recording", "duration_s", "message"),
    [
        ("c.wav", 10.0, r"t\.tsv: 'c\.wav' is in it 2 times, such as 'y/c\.wav' and 'z/c\.wav'$"),
        ("bb.wav", 10.0, r"t\.tsv: 'bb\.wav' is no recording in it; did you mean 'b\.wav'\? allowed: b\.wav, d\.wav, "),
        ("b.wav", 5.0, r"event 'cat' at 4-10\.2 s lies beyond the file's end at 5 s"),
    ],
)
def test_what_is_refused(tmp_path: Path, recording: str, duration_s: float, message: str) -> None:
    (tmp_path / "t.tsv").write_text(TABLE)
    with pytest.raises(DataError, match=message):
        read_truth(tmp_path / "t.tsv", recording, duration_s)
