"""A text behind a file's content: found by anything that reads ZIP archives, replaced as a whole."""

from __future__ import annotations

import io
import zipfile

import pytest

from efficient_sed.files.appended import append_text, appended_text, without_text


@pytest.mark.parametrize("content", [b"graph" * 99, b"", b"PK\x03\x04 is in it", b"PK\x05\x06" + bytes(7)])
def test_there_and_back(content: bytes) -> None:
    first, second = append_text(content, "a.json", "Hündin" * 999), append_text(content, "a.json", "{}")
    assert appended_text(first, "a.json") == "Hündin" * 999
    assert append_text(first, "a.json", "{}") == second  # the same bytes at any time
    assert without_text(first) == content
    assert zipfile.ZipFile(io.BytesIO(second)).namelist() == ["a.json"]
    assert appended_text(first, "b.json") is None


@pytest.mark.parametrize("content", [b"", b"graph", append_text(b"graph", "a.json", "x" * 99)[:-9]])
def test_none_is_there(content: bytes) -> None:
    assert appended_text(content, "a.json") is None
    assert without_text(content) == content


def test_a_damaged_text() -> None:
    content = append_text(b"graph", "a.json", "x" * 99)
    assert appended_text(content.replace(b"xxx", b"xyx", 1), "a.json") is None
