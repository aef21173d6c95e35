"""Excerpts that a model is least sure of: which are found, which are chosen, and what is written about them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.inference.detect_one import Found
from efficient_sed.inference.detect_options import EventRule
from efficient_sed.inference.doubts import LEAST_SHARE, Doubt, decode_doubts
from efficient_sed.inference.recordings import Recording
from efficient_sed.inference.uncertain import MARGIN_S, Excerpt, choose_excerpts, read_clip
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.events import decode_events

GRID, CLASSES = FrameGrid(), ("dog", "siren")
RULE = EventRule(Chain(), (0.5, 0.5))
THRESHOLDS = st.sampled_from([0.2, 0.5, 0.9])


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


@given(seed=st.integers(0, 1000), thresholds=st.tuples(THRESHOLDS, THRESHOLDS), size=st.integers(1, 60))
def test_doubts_against_their_definition(seed: int, thresholds: tuple[float, float], size: int) -> None:
    """In pieces of any size: runs above the lowered threshold whose peak is not sure; events are those of `detect`."""
    scores = np.random.default_rng(seed).uniform(0, 1, (60, 2)).astype(np.float32) ** 3
    pieces = [scores[first : first + size] for first in range(0, len(scores), size)]
    events, doubts = decode_doubts(pieces, CLASSES, GRID, thresholds, 2.4)
    assert events == decode_events(scores, CLASSES, GRID, thresholds, 2.4)
    expected = []
    for label, threshold, column in zip(CLASSES, thresholds, scores.T, strict=True):
        centred = 1 / (1 + np.exp(logit(threshold) - np.log(column / (1 - column.astype(np.float64)) + 1e-300)))
        is_near, first = [*(centred >= LEAST_SHARE).tolist(), False], None
        for frame, near in enumerate(is_near):
            if near and first is None:
                first = frame
            if not near and first is not None:
                if (peak := centred[first:frame].max()) <= 1 - LEAST_SHARE:
                    entropy = -peak * math.log2(peak) - (1 - peak) * math.log2(1 - peak)
                    expected.append((label, round(first * GRID.hop_s, 6), round(frame * GRID.hop_s, 6), entropy))
                first = None
    found = [(doubt.event.label, doubt.event.onset_s, doubt.event.offset_s, doubt.entropy) for doubt in doubts]
    assert [row[:3] for row in sorted(found)] == [row[:3] for row in sorted(expected)]
    assert [row[3] for row in sorted(found)] == pytest.approx([row[3] for row in sorted(expected)], abs=1e-4)


def recording(name: str, duration_s: float = 60.0) -> Recording:
    return Recording(Path(f"{name}.wav"), f"{name}.wav", Path(name), duration_s)


@given(
    onsets=st.lists(st.lists(st.integers(0, 55), max_size=12), min_size=1, max_size=4),
    number=st.integers(1, 12),
    seed=st.integers(0, 100),
)
def test_the_most_doubtful_ones_apart_from_each_other(onsets: list[list[int]], number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = [
        Found(
            recording(str(index)), RULE, [],
            doubts=[Doubt(Event(at, at + 2, "dog", 0.5), 0.5, float(rng.uniform(0.5, 1))) for at in own],
        )
        for index, own in enumerate(onsets)
    ]  # fmt: skip
    excerpts, most = choose_excerpts(found, number)
    chosen: list[tuple[int, Doubt]] = []  # the same for all recordings at once
    every = [(index, doubt) for index, each in enumerate(found) for doubt in each.doubts]
    for index, doubt in sorted(every, key=lambda pair: (-pair[1].entropy, pair[1].event)):
        own = [other.event for other_index, other in chosen if other_index == index]
        at = doubt.event.onset_s
        is_apart = all(
            min(at + 2 + MARGIN_S, 60) <= max(0, other.onset_s - MARGIN_S)
            or min(other.offset_s + MARGIN_S, 60) <= max(0, at - MARGIN_S)
            for other in own
        )
        if len(own) < most and is_apart:
            chosen.append((index, doubt))
    assert [excerpt.doubt for excerpt in excerpts] == [doubt for _, doubt in chosen[:number]]
    assert len({excerpt.clip for excerpt in excerpts}) == len(excerpts)


def test_a_clip_and_its_labels(tmp_path: Path) -> None:
    """Detected events are cut to the clip; one that was not found stands there to be judged."""
    path = tmp_path / "long.wav"
    samples = np.arange(10 * 8000) / 100_000
    soundfile.write(path, samples, 8000, subtype="PCM_16")
    long = Recording(path, "long.wav", Path("sub/long"), 10.0)
    missed, heard, far = Event(4, 5, "dog", 0.4), Event(1, 3, "siren", 0.9), Event(8, 9, "siren", 0.9)
    (excerpt,), _ = choose_excerpts([Found(long, RULE, [heard, far], doubts=[Doubt(missed, 0.5, 0.97)])], 5)
    assert (excerpt.clip, excerpt.start_s, excerpt.end_s) == (Path("sub/long_2.00s.flac"), 2.0, 7.0)
    assert excerpt.clip_events() == [Event(0, 1, "siren", 0.9), Event(2, 3, "dog", 0.4)]
    assert excerpt.doubt.reason == "not found, 0.10 below the threshold 0.5"
    sound, rate = soundfile.read(io.BytesIO(read_clip(excerpt, "mix")))
    assert rate == 8000
    np.testing.assert_allclose(sound, samples[2 * 8000 : 7 * 8000], atol=1e-4)
    found = Excerpt(long, Doubt(Event(0.5, 1.5, "dog", 0.6), 0.5, 0.97), ())
    assert (found.start_s, found.doubt.reason) == (0.0, "found, 0.10 above the threshold 0.5")
