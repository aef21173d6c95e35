"""Clips in arrays are the clips they were made of."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Clip, Event, Splits
from efficient_sed.data.samplers import weights_by_frames
from efficient_sed.data.storage.array_columns import gather
from efficient_sed.data.storage.columns import durations, select
from efficient_sed.data.storage.sources import AudioFile, ContainerAudio, Excerpt
from efficient_sed.data.windows import ClipWindows, cut_windows

ZERO_ENDED = "ab" * 31 + "00"  # a digest that text columns would cut


def clip(number: int, *events: tuple[float, float, str]) -> Clip:
    name = f"Y{number}ä"
    digest = f"{number:064x}" if number % 3 else ZERO_ENDED
    source = (
        AudioFile(Path(f"/a/{name}.mp3"), True, digest)
        if number % 2
        else ContainerAudio("hdf5", Path(f"/b{number % 4}.hdf"), 7 * number, name, digest)
    )
    return Clip(name, source, 10.0 + number / 3, tuple(Event(*event) for event in events))


CLIPS = (
    clip(0, (0.1, 2.3, "dog"), (0.5, 1.0, "cat")),
    clip(1),
    clip(2, (1 / 3, 2 / 3, "cat")),
    clip(3, (0.0, 1.0, "owl")),
    clip(4),
)


def test_the_same_clips() -> None:
    columns = gather(CLIPS)
    assert tuple(columns) == CLIPS == columns
    assert [columns[index] for index in (3, -1, 0)] == [CLIPS[3], CLIPS[-1], CLIPS[0]]
    assert tuple(pickle.loads(pickle.dumps(columns))) == CLIPS
    assert tuple(select(columns, [True, False, True, False, True])) == CLIPS[::2]
    assert tuple(columns[3:0:-1]) == CLIPS[3:0:-1]
    assert durations(columns).tolist() == [each.duration_s for each in CLIPS]
    assert columns != CLIPS[1:]
    assert list(gather(())) == []


def test_hash_and_weights_do_not_change() -> None:
    labels = ("dog", "cat", "owl")
    assert (
        Splits(labels, gather(CLIPS), CLIPS[:2], gather(CLIPS[:2])).manifest_hash
        == Splits(labels, CLIPS, CLIPS[:2], CLIPS[:2]).manifest_hash
    )
    assert weights_by_frames(gather(CLIPS), FrameGrid()).tolist() == weights_by_frames(CLIPS, FrameGrid()).tolist()
    assert weights_by_frames((), FrameGrid()).tolist() == []


def test_other_audio_is_refused() -> None:
    with pytest.raises(TypeError, match="neither a row of a container nor a file"):
        gather([Clip("a", Excerpt(CLIPS[1].audio, 0.0, 1.0), 1.0, ())])


@given(st.lists(st.floats(0.05, 95), min_size=1, max_size=6))
def test_windows_of_many_clips(durations_s: list[float]) -> None:
    grid = FrameGrid()
    windows = ClipWindows(
        durations(tuple(Clip(str(index), CLIPS[1].audio, seconds, ()) for index, seconds in enumerate(durations_s))),
        10.0,
        grid,
    )
    expected = [
        (index, window) for index, seconds in enumerate(durations_s) for window in cut_windows(seconds, 10.0, grid)
    ]
    assert [windows[index] for index in range(len(windows))] == expected
    assert len(windows) == len(expected)
    assert [number for index in range(len(durations_s)) for number in windows.numbers(index)] == list(
        range(len(expected))
    )
