"""A name that Unicode writes in two ways is one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.data.spelling import FolderNames, by_spelling, canonical, check_spellings
from efficient_sed.errors import DataError

NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_one_spelling() -> None:
    assert canonical(NFD) == canonical(NFC) == NFC
    assert canonical("plain") == "plain"


def test_two_spellings_of_one_name_are_refused() -> None:
    check_spellings([NFC, NFC, "other"])
    with pytest.raises(DataError, match=r"^here: 'caf\\xe9' and 'cafe\\u0301' are one name in two Unicode spellings"):
        check_spellings([NFC, NFD], "here: ")


def test_names_by_their_spelling() -> None:
    assert by_spelling([NFD, "a", 7]) == {NFC: NFD, "a": "a", 7: 7}


@pytest.mark.parametrize("stored", [NFC, NFD])
@pytest.mark.parametrize("asked", [NFC, NFD])
def test_files_are_found_in_either_spelling(tmp_path: Path, stored: str, asked: str) -> None:
    (tmp_path / stored).mkdir()
    (tmp_path / stored / f"{stored}.wav").write_text("x")
    assert FolderNames(tmp_path).path(f"{asked}/{asked}.wav").read_text() == "x"
    assert FolderNames(tmp_path).path("absent/é.wav") == tmp_path / "absent" / "é.wav"
