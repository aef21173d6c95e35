"""Shares of frames in which classes are active, against targets of the clips themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.activity import active_shares
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioFile

GRID = FrameGrid()


def clip(*events: Event, kind: str = "strong") -> Clip:
    return Clip("a", AudioFile(Path("a.wav")), 10.0, events, kind=kind)  # type: ignore[arg-type]


def test_shares_are_of_all_frames() -> None:
    clips = [clip(Event(0.0, 4.0, "b"), Event(2.0, 5.0, "b"), Event(9.0, 9.4, "a"), Event(1.0, 9.0, "other")), clip()]
    np.testing.assert_allclose(active_shares(clips, ["a", "b", "none"], GRID), [0.02, 0.25, 0.0], atol=1e-6)


def test_clips_without_frame_labels_do_not_count() -> None:
    clips = [clip(Event(0.0, 5.0, "a")), clip(kind="weak"), clip(kind="unlabelled")]
    assert active_shares(clips, ["a"], GRID) == pytest.approx(0.5)
    assert active_shares([clip(kind="weak")], ["a"], GRID) == pytest.approx(0.0)
