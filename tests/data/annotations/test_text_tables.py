"""Tables that people and programs write: quotation marks, soft labels, columns that are missing or unused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from efficient_sed.data.annotations.tables import join_row, log_unused, read_table, read_text, soft_columns, split_rows
from efficient_sed.errors import DataError

PATH = Path("t.tsv")


def rows(text: str, *columns: str) -> list[tuple[str, dict[str, str]]]:
    return list(read_table(PATH, text, columns, delimiter="\t"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_and_their_places(end: str) -> None:
    text = end.join(["a\tb", "1\t2", "", "3", '"x\ty"\t"say ""hi"""', ""])
    assert rows(text, "a", "b") == [
        ("t.tsv:2", {"a": "1", "b": "2"}),
        ("t.tsv:4", {"a": "3", "b": ""}),
        ("t.tsv:5", {"a": "x\ty", "b": 'say "hi"'}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n1\n", "t.tsv: column 'b' is missing; found: a"),
        ("", "t.tsv: column 'a' is missing; found: nothing"),
        ("a\tb\tb\n", "t.tsv: column 'b' is there twice"),
        ("a\tb\n1\t2\t3\n", "t.tsv:2: has more fields than the 2 columns of the header"),
        ("a\tb\tconfidence\n1\t2\t0.5\n", "t.tsv:2: confidence='0.5', but labels with a weight are not supported"),
        ("a\tb\tuncertainty\n1\t2\t1\n", "t.tsv:2: uncertainty='1', but labels with a weight are not supported"),
    ],
)
def test_tables_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        rows(text, "a", "b")
    assert str(caught.value).startswith(message)


def test_labels_that_are_fully_there() -> None:
    assert len(rows("a\tconfidence\tuncertainty\n1\t1.0\t0\n2\t\t\n", "a")) == 2
    names = ["labelConfidence", "soft_label", "score", "probabilities", "confident", "weight"]
    assert soft_columns(names) == ["labelConfidence", "soft_label", "probabilities", "weight"]


def test_unused_columns_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_unused("t.tsv", ["a", "note", "confidence"], ["a"])
    assert caplog.messages == ["t.tsv: columns that are not used: 'note'"]


@pytest.mark.parametrize("fields", [["plain", "tab\there", 'a "quote"'], ["plain", "two\nlines", ""]])
def test_a_written_row_is_read_again(fields: list[str]) -> None:
    lines = [join_row(list("abc")), *join_row(fields).splitlines(keepends=True)]
    assert [row for _, row in split_rows(lines, "\t")][1:] == [fields]


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes("\ufeffé".encode())
    assert read_text(path) == "é"
    for encoding in ("utf-16", "utf-16-be"):
        path.write_bytes("\ufeffé".encode(encoding) if encoding.endswith("be") else "é".encode(encoding))
        assert read_text(path) == "é"
    path.write_bytes("é".encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8 text .*; save it as UTF-8"):
        read_text(path)
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\); look there"):
        read_text(tmp_path / "absent", "look there")
