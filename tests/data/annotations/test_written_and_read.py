"""What is written in a format is read from it: the same recordings, events, lengths and scores, to its precision."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efficient_sed.data.annotations.contract import Annotations, find_format, format_annotations
from efficient_sed.data.annotations.reading import choose_format, open_source
from efficient_sed.data.events import Event
from efficient_sed.registry import ANNOTATION_FORMATS

FORMATS = ANNOTATION_FORMATS.names()
labels = st.text(st.sampled_from("aB é,;\"'!<1-_日"), min_size=1, max_size=6).map(str.strip).filter(bool)
times = st.tuples(st.integers(0, 50_000), st.integers(1, 20_000))  # milliseconds, which every format holds


def event(start: tuple[int, int], label: str, score: int) -> Event:
    return Event(start[0] / 1000, sum(start) / 1000, label, score / 10_000)


events = st.lists(st.builds(event, times, labels, st.integers(0, 10_000)), max_size=5)
recordings = st.dictionaries(
    st.sampled_from(["a", "b", "sub/a", "ü"]).map(lambda stem: f"{stem}.wav"), events, min_size=1, max_size=3
)


def as_held(name: str, found: Annotations) -> tuple[dict[str, list[tuple[float, float, str, float]]], dict[str, float]]:
    """Events in order and lengths, less what the format says that it cannot hold."""
    chosen = find_format(name)
    kept: dict[str, list[tuple[float, float, str, float]]] = {}
    for recording, own in found.events.items():
        score = found.has_scores and chosen.holds_scores
        rows = [
            (round(e.onset_s, 6), round(e.offset_s, 6), "_".join(e.label.split()) if name == "rttm" else e.label,
             round(e.score, 4) if score else 1.0)
            for e in own
        ]  # fmt: skip
        kept[recording.removesuffix(".wav").split("/")[-1]] = sorted(rows)
    return ({key: rows for key, rows in kept.items() if rows or chosen.holds_empty}, dict(found.durations_s))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None)
@given(found=recordings, has_scores=st.booleans())
def test_the_same_events(
    tmp_path_factory: pytest.TempPathFactory, name: str, found: dict[str, list[Event]], has_scores: bool
) -> None:
    chosen = find_format(name)
    found = {key: own for key, own in found.items() if own or chosen.holds_empty} or {"a.wav": [Event(0, 1, "x")]}
    if not chosen.holds_many or name == "rttm":  # whose names have no ending, and labels no blanks: one is no other
        found = dict(list(found.items())[:1])
        found = {key: [e._replace(label=e.label.replace(" ", "")) for e in own] for key, own in found.items()}
    if not has_scores:
        found = {key: [e._replace(score=1.0) for e in own] for key, own in found.items()}
    durations_s = dict.fromkeys(found, 100.0)
    written = Annotations(found, durations_s, has_scores)
    folder = tmp_path_factory.mktemp("written")
    path = folder / f"{Path(next(iter(found))).stem}{chosen.ending}"
    path.write_text(format_annotations(written, name), encoding="utf-8", newline="")
    source = open_source(path)
    if source.text:  # an empty label track is a recording without events, and says nothing
        assert choose_format(source).name == name
    read = chosen.parse(source)
    assert read.notes == ()
    if len(found) > 1:
        assert {key: sorted(own) for key, own in read.events.items()} == {
            key: sorted(Event(*row) for row in rows) for key, rows in rows_by_name(name, written).items()
        }
    else:
        ((_, own),) = read.events.items()
        ((_, rows),) = as_held(name, written)[0].items()
        assert sorted(map(tuple, own)) == rows
    if read.durations_s:
        assert set(read.durations_s.values()) == {100.0}


def rows_by_name(name: str, written: Annotations) -> dict[str, list[tuple[float, float, str, float]]]:
    return {
        recording: as_held(name, Annotations({recording: own}, {}, written.has_scores))[0].popitem()[1]
        for recording, own in written.events.items()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_lost_is_named(name: str) -> None:
    chosen = find_format(name)
    lost = " ".join(chosen.losses(Annotations({"a.wav": [Event(0.1234567, 1, "x", 0.5)], "b.wav": []}, {}, True)))
    assert ("scores of 1 events" in lost) is not chosen.holds_scores
    assert ("1 recordings without events (b.wav)" in lost) is not chosen.holds_empty
    assert ("more than 3 decimals of 1 times" in lost) is (name == "rttm")


def test_annotations_are_not_taken_for_detections() -> None:
    """Else `detect` would replace what people annotated and converted."""
    for name in FORMATS:
        for own in ([Event(0, 1, "dog")], [Event(0, 1, "dog")] * 3):
            text = format_annotations(Annotations({"a.wav": own}), name)
            assert not find_format(name).is_detections(text), name


def test_rttm_keeps_names_and_rounds_each_end() -> None:
    own = [Event(0.1, 0.1002, "x"), Event(0.0004, 1.0008, "x"), Event(0.0006, 0.0014, "x")]
    text = format_annotations(Annotations({"site1.0530": own, "site1.0600.WAV": own[:1]}), "rttm")
    assert [line.split()[1:5] for line in text.splitlines()] == [
        ["site1.0530", "1", "0.100", "0.001"],
        ["site1.0530", "1", "0.000", "1.001"],
        ["site1.0530", "1", "0.001", "0.001"],
        ["site1.0600", "1", "0.100", "0.001"],
    ]
