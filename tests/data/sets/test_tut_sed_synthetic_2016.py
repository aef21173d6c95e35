"""TUT-SED Synthetic 2016 in its published layout: parts, training sequences, errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from tut_files import NAME, audio_path, meta_path, write_tut

from efficient_sed.audio.frontends.mel40 import Mel40
from efficient_sed.data.dataset import Item, TrainingClips
from efficient_sed.data.events import PARTS, Clip, Event, Splits
from efficient_sed.data.sets.tut_sed_synthetic_2016 import CLASSES, TutSedSynthetic2016Config, cut_clip
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tut(tmp_path / "tut", seconds=0.6, rate=8_000)


def load(root: Path, **options: Any) -> Splits:
    return TutSedSynthetic2016Config(root=str(root), num_workers=0, **options).load()


def test_parts_by_number(tmp_path: Path) -> None:
    splits = load(write_tut(tmp_path, seconds=0.2, rate=8_000, num_mixtures=10, first=1))
    assert [clip.id for clip in splits.test] == [f"{NAME}-mix-1.wav", f"{NAME}-mix-2.wav"]
    assert [clip.id for clip in splits.validation] == [f"{NAME}-mix-3.wav", f"{NAME}-mix-4.wav"]
    assert [clip.id for clip in splits.train] == [f"{NAME}-mix-{number}.wav@0" for number in range(5, 11)]  # 10 after 9
    assert splits.classes == CLASSES
    assert len(CLASSES) == 16


def test_training_sees_sequences_and_the_others_whole_mixtures(tmp_path: Path) -> None:
    root = write_tut(tmp_path, seconds=2.5, rate=44_100)
    splits = load(root, clip_seconds=1.024)
    assert [clip.duration_s for clip in splits.test] == [2.5]
    assert [round(clip.duration_s, 3) for clip in splits.train[:3]] == [1.024, 1.024, 0.452]
    assert splits.train[2].events[-1] == Event(0.0, pytest.approx(0.452), "rain")
    grid = Mel40("logmel40").grid(1)
    item = TrainingClips(splits.train, CLASSES, grid, 1.024, 0)[(0, 1)]
    assert isinstance(item, Item)
    assert item.targets.shape[1] == grid.num_frames(item.waveform.shape[0]) == 102
    expected, _ = soundfile.read(
        audio_path(root, 3), start=round(1.024 * 44_100), frames=round(1.024 * 44_100), dtype="float32"
    )
    torch.testing.assert_close(item.waveform, torch.from_numpy(expected))


@given(st.floats(0.5, 40), st.floats(0.5, 12), st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), max_size=5))
def test_sequences_tile_a_mixture(duration_s: float, seconds: float, spans: list[tuple[float, float]]) -> None:
    events = tuple(
        Event(first * duration_s, min(first + length, 1.0) * duration_s, CLASSES[0])
        for first, length in spans
        if first < 1
    )
    pieces = cut_clip(Clip("a", AudioFile(Path("a.wav")), duration_s, events), seconds)
    assert sum(piece.duration_s for piece in pieces) == pytest.approx(duration_s)
    assert all(0 < piece.duration_s <= seconds + 1e-6 for piece in pieces)
    assert all(
        0 <= event.onset_s < event.offset_s <= piece.duration_s + 1e-6 for piece in pieces for event in piece.events
    )
    total = sum(event.offset_s - event.onset_s for piece in pieces for event in piece.events)
    assert total == pytest.approx(sum(event.offset_s - event.onset_s for event in events), abs=1e-5)


def test_equal_data_have_one_hash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    before = load(root).manifest_hash
    assert load(root).manifest_hash == before
    splits = load(write_tut(root.parent / "long", seconds=2.5, rate=8_000), clip_seconds=1)
    with monkeypatch.context() as patch:
        patch.setattr(
            "hashlib.file_digest", lambda file, _: hashed.append(file.name) or SimpleNamespace(hexdigest=lambda: "0")
        )
        assert splits.manifest_hash
    assert len(hashed) == len(set(hashed)) == 5  # files, not sequences
    meta_path(root, 5).write_text("0.1\t0.2\tbus\n")
    assert load(root).manifest_hash != before


def test_overlapping_events_are_joined_and_said_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(root)
        assert "joined" not in caplog.text
        for number in (1, 3, 4):
            meta_path(root, number).write_text("0.1\t0.3\tbus\n0.2\t0.4\tbus\n0.2\t0.25\train\n0.4\t0.5\tbus\n")
        splits = load(root)
    assert splits.test[0].events == (Event(0.1, 0.5, "bus"), Event(0.2, 0.25, "rain"))
    (line,) = [record.getMessage() for record in caplog.records if "joined" in record.getMessage()]
    assert (
        line == f"6 events overlap one of their class and are joined with it, in 3 mixtures, such as {NAME}-mix-3.wav"
    )


def test_short_mixtures_are_padded_and_said_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = load(root)
    assert [record.getMessage() for record in caplog.records] == [
        f"5 mixtures are shorter than data.clip_seconds=10.24 and are padded with silence, such as {NAME}-mix-3.wav"
    ]
    item = TrainingClips(splits.train, CLASSES, Mel40("logmel40").grid(1), 10.24, 0)[(0, 0)]
    assert isinstance(item, Item)
    assert item.targets.shape == (16, 1024)
    assert not item.targets[:, 60:].any()
    assert not item.waveform[round(0.61 * 44_100) :].any()


def write(number: int, text: str) -> Callable[[Path], Any]:
    return lambda root: meta_path(root, number).write_text(text)


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (
        lambda root: (root / "meta").rename(root / "m"),
        (
            "{root}/meta: no such directory; data.root=DIR is the folder that holds audio/ and meta/ of TUT-SED"
            " Synthetic 2016"
        ),
    ),
    "nothing in it": (
        lambda root: [path.unlink() for path in (root / "audio").iterdir()],
        f"{{root}}/audio: no mixture in it; expected names such as {NAME}-mix-1.wav",
    ),
    "no meta file": (
        lambda root: meta_path(root, 4).unlink(),
        f"{{root}}/audio/{NAME}-mix-4.wav: its annotations are missing; expected: {{root}}/meta/{NAME}-annot-4.txt",
    ),
    "no audio file": (
        lambda root: audio_path(root, 4).unlink(),
        f"{{root}}/audio/{NAME}-mix-4.wav: no such audio file; data.on_error=skip leaves such files out",
    ),
    "twice": (
        lambda root: audio_path(root, 4).rename(root / "audio" / "mixture_3.wav"),
        f"{{root}}/audio/mixture_3.wav: mixture 3 is there twice, as {NAME}-mix-3.wav too",
    ),
    "spaces": (
        write(4, "0.1 0.2 bus\n"),
        "{meta}:1: '0.1 0.2 bus' has 1 fields; needed, separated by tabs: onset offset label",
    ),
    "no number": (write(4, "0.1\t0.2\tbus\na\t1\tbus\n"), "{meta}:2: onset='a', offset='1' are not seconds"),
    "not finite": (write(4, "0.1\tnan\tbus\n"), "{meta}:1: onset=0.1 must be at least 0 and before offset=nan"),
    "reversed": (write(4, "\n0.2\t0.1\tbus\n"), "{meta}:2: onset=0.2 must be at least 0 and before offset=0.1"),
    "other label": (
        write(4, "0.1\t0.2\tdog_bark\n"),
        "{meta}:1: label 'dog_bark' is not one of the 16 classes; did you mean 'dog_barking'?",
    ),
    "not text": (
        lambda root: meta_path(root, 4).write_bytes(b"\x801"),
        "{meta}: not UTF-8 text (invalid start byte at byte 0); save it as UTF-8",
    ),
    "beyond the end": (
        write(4, "0.1\t1.9\tbus\n"),
        (
            f"{{root}}/audio/{NAME}-mix-4.wav: event 'bus' at 0.1-1.9 s lies beyond the file's end at 0.6 s by more"
            " than 1 s; correct its times; data.on_error=skip leaves such files out"
        ),
    ),
    "two mixtures": (
        lambda root: [
            path.unlink() for number in (3, 4, 5) for path in (audio_path(root, number), meta_path(root, number))
        ],
        "{root}/audio: 0 clips for training; add rows to its annotations",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, root: Path) -> None:
    change, message = BAD[name]
    change(root)
    with pytest.raises(DataError) as caught:
        load(root)
    assert str(caught.value).startswith(message.format(root=root, meta=meta_path(root, 4)))
    assert "\n" not in str(caught.value)


def test_a_missing_recording_moves_no_other_to_another_part(root: Path) -> None:
    before = {part: [clip.id for clip in getattr(load(root), part)] for part in PARTS}
    audio_path(root, 3).unlink()
    splits = load(root, on_error="skip")
    assert {part: [clip.id for clip in getattr(splits, part)] for part in PARTS} == before | {
        "train": before["train"][1:]
    }
    assert splits.skipped == (f"{audio_path(root, 3)}: no such audio file",)
