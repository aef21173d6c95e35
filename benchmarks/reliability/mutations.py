"""Ways to damage bytes, texts and nested values."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable, Mapping
from typing import Any

EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    -0.0,
    1,
    2,
    3.5,
    1e-320,
    1e308,
    2**31,
    2**63,
    -(2**63),
    2**64,
    10**30,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    True,
    16_000,
    0.04,
)
TEXTS = (
    "", " ", "a", "nan", "inf", "-1", "-0", "1e400", "1e-400", "9" * 5000, "0x10", "1_000", "١٢", "²", "null", "true",
    "None", "${oc.env:HOME}", "${seed}",
    "${", "$x$", "[", "]", "[[[[",
    "{a:1}", "'", '"', "\\", "a=b", "a,b", "*", "../../etc/passwd", "/etc/passwd", "~", "~root", ".", "..", "\0",
    "a\0b", "\n", "a\nb", "\t", "\r",
    "\x1b[31mred\x1b[0m", "<script>alert(1)</script>",
    "</script>", "&amp;", "[bold]x[/bold]", "[/x]", "%s%n", "{0}", "é", "日本", "\u202e", "\ufeff", "\U0001f600",
    "\ud800", "x" * 300, "x" * 200_000, "fmn10",
    "speech", "a.wav", "-", "--help",
)  # fmt: skip


def damage(data: bytes, rng: random.Random) -> bytes:
    """One to three changes of any kind."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice((_flip, _flip, _truncate, _insert, _duplicate, _zero, _extreme, _extreme))(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Somewhere, every second time among the first bytes, where headers are."""
    return rng.randrange(min(len(data), 128) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        if changed:
            changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.randbytes(rng.choice((1, 2, 4, 16, 1000))) + data[place:]


def _duplicate(data: bytes, rng: random.Random) -> bytes:
    place, length = _place(data, rng), rng.choice((1, 8, 64, 4096))
    return data[:place] + data[place : place + length] * rng.choice((2, 3, 50)) + data[place + length :]


def _zero(data: bytes, rng: random.Random) -> bytes:
    place, length = _place(data, rng), rng.choice((4, 64, 4096))
    return data[:place] + bytes(min(length, len(data) - place)) + data[place + length :]


def _extreme(data: bytes, rng: random.Random) -> bytes:
    """A whole number of a header changed to one that is as large or as small as it can be."""
    place, form = _place(data, rng), rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    return data[:place] + struct.pack(form, rng.choice(EXTREMES) % 2 ** (8 * size)) + data[place + size :]


def wild_value(rng: random.Random, depth: int = 0) -> Any:
    """A plain value of an unexpected type."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(TEXTS)
    if kind == 6 or depth > 2:
        return None
    if rng.random() < 0.5:
        return [wild_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS): wild_value(rng, depth + 1) for _ in range(rng.randrange(3))}


def change_value(value: Any, rng: random.Random) -> Any:
    """Nested plain values with one of them replaced, left out, added or repeated."""
    if isinstance(value, Mapping) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        action = rng.random()
        if action < 0.7:
            changed[key] = change_value(value[key], rng)
        elif action < 0.85:
            del changed[key]
        else:
            changed[str(rng.choice(TEXTS))] = wild_value(rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        action = rng.random()
        if action < 0.7:
            return [*value[:place], change_value(value[place], rng), *value[place + 1 :]]
        return value[:place] + value[place + 1 :] if action < 0.85 else [*value, value[place]]
    return wild_value(rng)


def damaged_json(text: str, rng: random.Random) -> bytes:
    """JSON that says something else, or is none."""
    if rng.random() < 0.3:
        return damage(text.encode(), rng)
    if rng.random() < 0.03:
        return (rng.choice("[{") * 100_000).encode() if rng.random() < 0.5 else b"1" + b"0" * 5000
    return json.dumps(change_value(json.loads(text), rng)).encode("utf-8", "surrogatepass")


def damaged_table(text: str, separator: str, rng: random.Random) -> bytes:
    """Rows of a text table with fields, rows or the encoding changed."""
    if rng.random() < 0.3:
        return damage(text.encode(), rng)
    rows = [line.split(separator) for line in text.splitlines()]
    for _ in range(rng.choice((1, 1, 2))):
        row = rng.randrange(len(rows))
        edits: list[Callable[[], object]] = [
            lambda row=row: (  # type: ignore[misc]
                rows[row].__setitem__(rng.randrange(len(rows[row])), _field(rng)) if rows[row] else None
            ),
            lambda row=row: rows[row].append(_field(rng)),  # type: ignore[misc]
            lambda row=row: rows[row].pop() if rows[row] else None,  # type: ignore[misc]
            lambda row=row: rows.insert(rng.randrange(len(rows) + 1), list(rows[row])),  # type: ignore[misc]
            lambda row=row: rng.shuffle(rows[row]),  # type: ignore[misc]
        ]
        edits[rng.choice((0, 0, 0, 0, 1, 2, 3, 4))]()
    return "\n".join(separator.join(row) for row in rows).encode(
        rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32")), "surrogatepass"
    )


def _field(rng: random.Random) -> str:
    value = rng.choice((*TEXTS, *NUMBERS, "1e9", "0.0", "0.1", "0.3", "-0.1"))
    return (
        value
        if isinstance(value, str)
        else str(value)
        if not isinstance(value, int) or value < 10**40
        else "1" + "0" * 400
    )
