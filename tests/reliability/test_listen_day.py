"""A scaled-down day of listening: minutes of sound with breaks, through ffmpeg, a broker and a folder of clips."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from listen_day import cut, find_mosquitto, listen_long, scenes

from efficient_sed.audio.grid import SAMPLE_RATE

MISSING = [
    *(name for name, path in (("ffmpeg", shutil.which("ffmpeg")), ("mosquitto", find_mosquitto())) if path is None),
    *(name for name in ("paho", "onnxruntime") if importlib.util.find_spec(name) is None),
]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
@pytest.mark.slow
def test_two_minutes(tmp_path: Path) -> None:
    outcome = listen_long(tmp_path, 120 / 3600, num_breaks=2, num_restarts=1, num_full=1, seed=0)
    assert outcome.problems() == []
    assert outcome.num_events > 15
    assert outcome.num_gaps == 2
    assert outcome.said.count("sound again, after") == 2
    assert outcome.said.count("cannot be reached (") == 1


def test_pieces_are_the_whole() -> None:
    lengths = cut(3, 60.0, 5)
    assert len(lengths) == 6
    assert sum(lengths) == sum(map(len, scenes(3, 60.0))) == 60 * SAMPLE_RATE
