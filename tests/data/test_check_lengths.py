"""Lengths of events, and the options that they propose."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.data.check_lengths import event_lengths, propose
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioFile


def clips_of(lengths_s: dict[str, list[float]], file_s: float) -> list[Clip]:
    audio = AudioFile(Path("absent.wav"))
    return [
        Clip(f"{label}{number}", audio, file_s, (Event(1.0, 1.0 + length_s, label),))
        for label, own in lengths_s.items()
        for number, length_s in enumerate(own)
    ]


def test_lengths_are_percentiles() -> None:
    clips = clips_of({"dog": [0.1 * number for number in range(1, 12)], "cat": [2.0]}, 10.0)
    found = event_lengths(clips, ["cat", "cow", "dog"])
    assert list(found) == ["cat", "dog"]
    assert found["cat"] == pytest.approx((1, 2.0, 2.0, 2.0))
    assert found["dog"] == pytest.approx((11, 0.2, 0.6, 1.0))


@pytest.mark.parametrize(
    ("lengths_s", "file_s", "frames", "seconds"),
    [
        ({"dog": [0.2] * 10, "cat": [0.04] * 9}, 10.0, 5, 10),  # nine cats are too few
        ({"cat": [0.03] * 9}, 10.0, 1, 10),
        ({"dog": [0.47] * 10}, 4.2, 11, 5),
        ({"dog": [30.0] * 10}, 300.0, 749, 60),
        ({"dog": [30.0] * 10}, 40.0, 749, 40),
        ({"dog": [1.0] * 10}, 300.0, 25, 10),
    ],
)
def test_proposals(lengths_s: dict[str, list[float]], file_s: float, frames: int, seconds: int) -> None:
    clips = clips_of(lengths_s, file_s)
    window, length = propose(clips, event_lengths(clips, list(lengths_s)), hop_s=0.04)
    assert (window.option, window.value) == ("data.median_frames", frames)
    assert (length.option, length.value) == ("data.clip_seconds", seconds)
    assert window.line().startswith(f"data.median_frames={frames} suits these events: a tenth of ")


def test_without_events_nothing_is_proposed() -> None:
    assert propose([], {}, 0.04) == []
