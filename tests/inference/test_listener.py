"""A listener finds what `detect` finds between two breaks, and tells of breaks."""

from __future__ import annotations

import gc
import itertools
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_parts import Kept, LoudDetector, Pieces, event, sound

from efficient_sed.audio.grid import SAMPLE_RATE as RATE
from efficient_sed.errors import ConfigError
from efficient_sed.inference import listener as module
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.listener import Listener
from efficient_sed.inference.live_events import Gap, LiveEvent
from efficient_sed.inference.live_selection import Selection, parse_labels
from efficient_sed.inference.sources.contract import IsEnded, Source
from efficient_sed.inference.stream import Stream
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.events import decode_events
from efficient_sed.postprocessing.hysteresis import Hysteresis

PIECE = sound((0, 1.0), (0.9, 0.8), (0, 1.0), (-0.7, 0.4), (0, 1.2))


@pytest.fixture(autouse=True, scope="module")
def _no_wait() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_WAIT_S", 0.001)
        yield


def listen(
    source: Source, is_ended: IsEnded = lambda: False, chosen: DetectOptions | None = None, **selection: Any
) -> Kept:
    detector, kept = LoudDetector(), Kept()
    rule = (chosen or DetectOptions(0.5)).rule(detector)
    Listener(source, lambda: Stream(detector), rule, Selection(detector.classes, **selection), [kept]).run(is_ended)
    return kept


def test_events_with_their_times() -> None:
    kept = listen(Pieces(PIECE))
    assert [(each.label, each.onset_s, each.offset_s) for each in kept.events()] == [
        ("up", pytest.approx(1.0, abs=0.04), pytest.approx(1.8, abs=0.04)),
        ("down", pytest.approx(2.8, abs=0.04), pytest.approx(3.2, abs=0.04)),
    ]
    first, second = kept.events()
    assert (second.start - first.start).total_seconds() == pytest.approx(second.onset_s - first.onset_s, abs=1e-5)
    assert [name for name, _ in kept.calls] == ["resume", "start", "end", "start", "end", "close"]
    assert kept.heard == len(PIECE)


@settings(max_examples=15, deadline=None)
@given(
    levels=st.lists(st.sampled_from([0.0, 0.9, -0.9, 0.3]), min_size=1, max_size=40),
    cuts=st.lists(st.integers(1, 40 * 4800), max_size=4),
    chunk=st.integers(500, 20_000),
)
def test_nothing_is_lost_or_doubled(levels: list[float], cuts: list[int], chunk: int) -> None:
    whole = sound(*((level, 0.3) for level in levels))
    borders = [0, *sorted(cut for cut in set(cuts) if cut < len(whole)), len(whole)]
    pieces = [whole[begin:end] for begin, end in itertools.pairwise(borders)]
    detector = LoudDetector()
    rule = DetectOptions(0.5).rule(detector)
    expected = []
    for begin, piece in zip(borders, pieces, strict=False):
        scores = detector.score_frames(np.pad(piece, (0, -len(piece) % 640))[None])[0]
        found = decode_events(rule.chain.apply(scores, 0.04), detector.classes, detector.grid, 0.5, len(piece) / RATE)
        expected += [(begin / RATE + each.onset_s, each.label, begin / RATE + each.offset_s) for each in found]
    kept = listen(Pieces(*pieces, chunk=chunk))
    live = sorted((each.onset_s, each.label, each.offset_s) for each in kept.events())
    assert [label for _, label, _ in live] == [label for _, label, _ in sorted(expected)]
    np.testing.assert_allclose([each[::2] for each in live], [each[::2] for each in sorted(expected)], atol=1e-4)
    assert sum(name == "lose" for name, _ in kept.calls) == len(pieces) - 1
    started = [item.id for name, item in kept.calls if name == "start" and isinstance(item, LiveEvent)]
    assert sorted(started) == sorted(each.id for each in kept.events())


def test_a_break_in_an_event(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kept = listen(Pieces(sound((0, 1), (0.9, 1)), sound(), sound((0.9, 1), (0, 1))))
    assert [(each.onset_s, each.offset_s) for each in kept.events()] == [(1.0, 2.0), (2.0, 3.0)]
    assert [name for name, _ in kept.calls] == ["resume", "start", "end", "lose", "resume", "start", "end", "close"]
    begun, over = (item for name, item in kept.calls[1:] if name in ("lose", "resume"))
    assert isinstance(begun, Gap)
    assert isinstance(over, Gap)
    assert begun.end is None
    assert begun.start == over.start
    assert over.end is not None
    assert caplog.messages[0] == "pieces: no sound any more (cable out); opening it again until it is back"
    assert "pieces: sound again, after" in caplog.messages[1]
    assert len(caplog.messages) == 2


def test_a_break_leaves_no_sound_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stream goes with its sound when the next one begins: commands seldom look for garbage."""
    streams: list[weakref.ref[Stream]] = []

    def create_stream() -> Stream:
        stream = Stream(detector)
        streams.append(weakref.ref(stream))
        return stream

    def count_streams(_: float, is_ended: IsEnded) -> bool:
        alive.append(sum(stream() is not None for stream in streams))
        return is_ended()

    detector, alive = LoudDetector(), list[int]()
    monkeypatch.setattr(module, "_wait", count_streams)
    selection = Selection(detector.classes)
    listener = Listener(Pieces(*[PIECE] * 5), create_stream, DetectOptions(0.5).rule(detector), selection, [Kept()])
    gc.disable()
    try:
        listener.run(lambda: False)
    finally:
        gc.enable()
    assert (len(streams), alive) == (5, [1] * 4)


def test_waiting_for_a_source_ends_with_listening() -> None:
    asked = itertools.count()
    kept = listen(Pieces(*[sound()] * 1000), is_ended=lambda: next(asked) > 20)
    assert [name for name, _ in kept.calls] == ["lose", "close"]


def test_an_event_is_announced_while_it_goes_on() -> None:
    kept = listen(Pieces(sound((0, 1), (0.9, 10), (0, 1))))
    (_, begun), (_, ended) = kept.calls[1:3]
    assert isinstance(begun, LiveEvent)
    assert isinstance(ended, LiveEvent)
    assert begun.offset_s < 3
    assert (begun.onset_s, begun.id, ended.offset_s) == (1.0, ended.id, 11.0)


def test_hysteresis_holds_a_long_event() -> None:
    """Longer than what an event waits for: it reached its threshold 20 s ago."""
    own = Postprocessing(events=Chain((Hysteresis(low=0.5),)))
    held = sound((0, 1), (0.9, 1), (0.3, 20), (0, 2), (0.3, 2))
    events = listen(Pieces(held), chosen=DetectOptions(0.5, postprocessing=own)).events()
    assert [(each.onset_s, each.offset_s) for each in events] == [(1.0, 22.0)]


def test_only_and_ignore() -> None:
    assert [each.label for each in listen(Pieces(PIECE), only="down").events()] == ["down"]
    assert [each.label for each in listen(Pieces(PIECE), ignore="down").events()] == ["up"]


def test_cool_down_counts_for_each_class() -> None:
    """From the end of the last event that was passed on."""
    often = sound(*[(0.9, 0.4), (0, 0.6), (-0.9, 0.4), (0, 0.6)] * 4)  # each class every two seconds
    onsets = [(each.label, each.onset_s) for each in listen(Pieces(often), cool_down_s=3.0).events()]
    assert onsets == [("up", 0.0), ("down", 1.0), ("up", 4.0), ("down", 5.0)]


def test_labels_may_hold_commas() -> None:
    classes = ["Speech", "Male speech, man speaking", "Male speech"]
    assert parse_labels("--only", "Male speech, man speaking,Speech", classes) == [classes[1], "Speech"]
    assert parse_labels("--only", "Male speech, Speech", classes) == ["Male speech", "Speech"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "upp"}, "--only upp is not allowed: no such class; did you mean 'up'"),
        ({"only": "up,sideways"}, "--only sideways is not allowed: no such class"),
        ({"ignore": "dwn"}, "--ignore dwn is not allowed: no such class; did you mean 'down'"),
        ({"only": ",up"}, "--only ,up is not allowed: it has an empty name; give classes, joined by commas"),
        ({"ignore": "up,,down"}, "--ignore up,,down is not allowed: it has an empty name"),
        ({"only": " "}, "--only is empty; give classes, joined by commas"),
        ({"only": "up", "ignore": "up"}, "--only and --ignore leave no class of the model"),
        ({"cool_down_s": -1.0}, "--cool-down -1 is not allowed: seconds, 0 or more"),
        ({"cool_down_s": float("nan")}, "--cool-down nan is not allowed"),
    ],
)
def test_selections_that_are_not_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Selection(["up", "down"], **options)  # type: ignore[arg-type]


def test_labels_with_one_file_name_have_ids_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoudDetector, "classes", ["Speech, male", "speech (male)"])
    kept = listen(Pieces(PIECE))
    assert [each.name for each in kept.events()] == ["Speech_male", "speech_male_2"]
    assert kept.events()[1].id.endswith("Z_speech_male_2")


def test_ids_sort_by_time_and_are_file_names() -> None:
    ids = [event("Male speech, man/woman", onset_s).id for onset_s in (0.5, 9.25, 70.0)]
    assert ids == sorted(ids)
    assert ids[1] == "20260101T000009.250Z_Male_speech_man_woman"
