"""The table of sounds beside their scenes: which part has which, and from where to where in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.annotations.tables import join_row, read_table, read_text
from efficient_sed.data.mixing.bank import BankSound
from efficient_sed.errors import DataError

COLUMNS = ("role", "part", "label", "file", "start", "seconds", "place")
TABLE = "sounds.tsv"


class Kept(NamedTuple):
    """A sound as the table lists it."""

    role: str
    part: str
    sound: BankSound
    name: str


def write_kept(folder: Path, kept: Sequence[Kept]) -> None:
    """Write the table."""
    rows = (_row(own) for own in kept)
    (folder / TABLE).write_text("".join(map(join_row, (COLUMNS, *rows))), encoding="utf-8")


def _row(own: Kept) -> tuple[object, ...]:
    sound = own.sound
    place = "" if sound.place is None else sound.place
    times = f"{sound.start_s:.6f}", f"{sound.size / SAMPLE_RATE:.6f}"
    return own.role, own.part, sound.label, own.name, *times, place


def read_kept(folder: Path, paths: Mapping[tuple[str, str], Path]) -> list[Kept]:
    """Read what `write_kept` wrote.

    Args:
        folder: Where it lies.
        paths: Of the sounds, by role and name.

    Raises:
        DataError: If it cannot be read.
    """
    table, kept = folder / TABLE, []
    advice = f"delete {folder}, and it is written again"
    for where, row in read_table(table, read_text(table, advice), COLUMNS, delimiter="\t"):
        try:
            place = int(row["place"]) if row["place"] else None
            count, path = round(float(row["seconds"]) * SAMPLE_RATE), paths[row["role"], row["file"]]
            sound = BankSound(row["label"], path, float(row["start"]), count, place)
        except (KeyError, ValueError) as error:
            raise DataError(f"{where}: damaged ({error}); {advice}") from error
        kept.append(Kept(row["role"], row["part"], sound, row["file"]))
    return kept
