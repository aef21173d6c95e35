"""Events as frames, against a slow loop; joining them, by its laws."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.check import summarise
from efficient_sed.data.events import Clip, Event, Splits, encode_events, merge_overlapping
from efficient_sed.data.storage.sources import AudioFile

GRID = FrameGrid()
CLASSES = ("bell", "dog", "siren")
MS = 1000


@st.composite
def lists_of_events(draw: st.DrawFn, step_ms: int = 1) -> list[Event]:
    """Events on whole milliseconds within ten seconds; on a coarse step they often touch."""
    events = []
    for _ in range(draw(st.integers(0, 12))):
        onset = draw(st.integers(0, 9 * MS // step_ms)) * step_ms
        length = draw(st.integers(1, 3 * MS // step_ms)) * step_ms
        events.append(Event(onset / MS, (onset + length) / MS, draw(st.sampled_from(CLASSES))))
    return events


def active(events: list[Event] | tuple[Event, ...]) -> set[tuple[str, int]]:
    return {
        (event.label, ms) for event in events for ms in range(round(event.onset_s * MS), round(event.offset_s * MS))
    }


@given(st.one_of(lists_of_events(), lists_of_events(40)), st.integers(0, 200), st.integers(1, 260))
def test_targets_equal_a_slow_loop(events: list[Event], start_frame: int, num_frames: int) -> None:
    targets = encode_events(events, CLASSES, GRID, num_frames, start_frame * GRID.hop_s)
    expected = np.zeros((3, num_frames), dtype=np.float32)
    for label, ms in active(events):
        frame = ms // 40 - start_frame
        if 0 <= frame < num_frames:
            expected[CLASSES.index(label), frame] = 1
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, expected)


def test_borders_round_outwards() -> None:
    def frames(onset_s: float, offset_s: float) -> list[int]:
        return np.flatnonzero(encode_events([Event(onset_s, offset_s, "dog")], CLASSES, GRID, 10)[1]).tolist()

    assert frames(0.12, 0.2) == [3, 4]  # 0.12 / 0.04 is a little below 3 in binary
    assert frames(0.119, 0.201) == [2, 3, 4, 5]
    assert frames(0.13, 0.131) == [3]
    assert frames(0.36, 20) == [9]
    assert frames(0.4, 20) == []


@given(st.one_of(lists_of_events(), lists_of_events(100)), st.randoms())
def test_merging(events: list[Event], random: object) -> None:
    merged = merge_overlapping(events)
    assert active(merged) == active(events)
    assert merge_overlapping(merged) == merged
    assert list(merged) == sorted(merged, key=lambda event: (event.onset_s, event.offset_s, event.label))
    random.shuffle(events)  # type: ignore[attr-defined]
    assert merge_overlapping(events) == merged
    for label in CLASSES:
        own = [event for event in merged if event.label == label]
        assert all(before.offset_s < after.onset_s for before, after in pairwise(own))


def test_hash_and_summary(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"12")
    clip = Clip("a", AudioFile(path), 36.0, (Event(0, 1, "dog"), Event(2, 3, "dog"), Event(2, 3, "bell")))
    splits = Splits(CLASSES, (clip, clip), (clip,), (dataclasses.replace(clip, events=()),))
    assert summarise(splits.train, splits.classes) == (2, 0.02, {"bell": 2, "dog": 4, "siren": 0})
    assert summarise(splits.test, splits.classes).events == dict.fromkeys(CLASSES, 0)
    events = (Event(0, 1, "dog", 0.49), Event(1, 2, "dog", 0.5), Event(3, 4, "bell", 0.1))
    soft = dataclasses.replace(splits.train[0], events=events, kind="soft")
    assert summarise([soft], CLASSES).events == {"bell": 0, "dog": 1, "siren": 0}
    hashes = {splits.manifest_hash}
    for change in ({"id": "b"}, {"duration_s": 36.1}, {"events": ()}):
        hashes.add(dataclasses.replace(splits, validation=(dataclasses.replace(clip, **change),)).manifest_hash)  # type: ignore[arg-type]
    hashes |= {
        dataclasses.replace(splits, classes=CLASSES[::-1]).manifest_hash,
        dataclasses.replace(splits, train=(clip,)).manifest_hash,
    }
    moved = tmp_path / "elsewhere.wav"
    moved.write_bytes(path.read_bytes())
    assert (
        dataclasses.replace(splits, validation=(dataclasses.replace(clip, audio=AudioFile(moved)),)).manifest_hash
        in hashes
    )
    moved.write_bytes(b"x" * path.stat().st_size)  # as long, with another content
    hashes.add(
        dataclasses.replace(splits, validation=(dataclasses.replace(clip, audio=AudioFile(moved)),)).manifest_hash
    )
    assert len(hashes) == 7


def test_unknown_label_is_an_error() -> None:
    with pytest.raises(KeyError, match="cat"):
        encode_events([Event(0, 1, "cat")], CLASSES, GRID, 10)
