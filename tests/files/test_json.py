"""JSON that anybody may have written."""

from __future__ import annotations

import pytest

from efficient_sed.files.json import parse_json


def test_plain_values() -> None:
    assert parse_json('{"a": [1, -2.5e3, "\\u00e4\\ud83d\\ude00", null, true]}') == {
        "a": [1, -2500.0, "ä😀", None, True]
    }
    assert parse_json(b'[{"a": 1}]', object_pairs_hook=tuple) == [(("a", 1),)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "^NaN is not a number$"),
        ("[-Infinity]", "^-Infinity is not a number$"),
        ("1e999", "^1e999 is too large a number$"),
        ("1" * 301, "^1{20}… is too large a number$"),
        ("[" * 100_000, "^nested too deeply$"),
        ('"\\ud83d"', "surrogates not allowed"),
        ("{", "line 1 column 2"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
