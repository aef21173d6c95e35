"""Clips in columns are the same clips as objects, part by part and block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage import columns
from efficient_sed.data.storage.array_columns import gather
from efficient_sed.data.storage.columns import ColumnPart, durations, iterate_blocks, select
from efficient_sed.data.storage.sources import AudioFile


@pytest.fixture
def clips() -> list[Clip]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(23):
        onsets = np.sort(rng.uniform(0, 9, int(rng.integers(0, 4))))
        events = tuple(Event(float(onset), float(onset) + 0.5, str(rng.choice(["a", "b", "c"]))) for onset in onsets)
        audio = AudioFile(Path(f"/x/{number}.wav"), 1, f"{number:064x}")
        made.append(Clip(f"clip{number:02}", audio, 5.0 + number, events))
    return made


def test_a_part_is_a_list(clips: list[Clip]) -> None:
    part = gather(clips)
    assert len(part) == len(clips)
    assert list(part) == clips
    assert part == clips
    assert part[3] == clips[3]
    assert list(part[4:9]) == clips[4:9]
    assert part != clips[:-1]


def test_rows_in_an_order_of_their_own(clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BLOCK", 4)
    rows = np.array([7, 8, 9, 2, 3, 22, 0])
    part = ColumnPart(gather(clips).columns, rows)
    assert list(part) == [clips[row] for row in rows]
    assert list(part.runs()) == [(7, 10), (2, 3), (3, 4), (22, 23), (0, 1)]
    assert isinstance(ColumnPart(part.columns, np.array([4, 5, 6])).rows, range)
    assert select(part, [row % 2 == 0 for row in rows]) == [clips[row] for row in rows if row % 2 == 0]
    assert durations(part).tolist() == [clips[row].duration_s for row in rows]


@pytest.mark.parametrize("block", [1, 4, 4096])
def test_blocks_of_objects_and_of_columns(clips: list[Clip], monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(columns, "BLOCK", block)
    found = []
    for part in (clips, gather(clips)):
        numbers: dict[str, int] = {}
        events, first = [], 0
        for each in iterate_blocks(part, numbers):
            names = {number: label for label, number in numbers.items()}
            for clip, label, onset_s, offset_s in zip(each.clip, each.label, each.onset_s, each.offset_s, strict=True):
                events.append((first + int(clip), names[int(label)], float(onset_s), float(offset_s)))
            first += len(each.duration_s)
        assert first == len(clips)
        found.append(events)
    expected = [(n, e.label, e.onset_s, e.offset_s) for n, clip in enumerate(clips) for e in clip.events]
    assert found == [expected, expected]
