"""Events in time, clips that hold them, and their form as frame targets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.errors import DataError

if TYPE_CHECKING:
    from efficient_sed.data.storage.sources import AudioSource

PARTS = ("train", "validation", "test")
SOFT_THRESHOLD = 0.5  # from which on a soft label counts as an event, where there has to be one or none
Kind = Literal["strong", "soft", "weak", "unlabelled"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Those with more labels first."""
FRAMEWISE: tuple[Kind, ...] = ("strong", "soft")
"""Kinds with labels of frames."""
LABELLED: tuple[Kind, ...] = (*FRAMEWISE, "weak")
"""Kinds with labels of clips, at least."""
OVERHANG_S, OVERHANG_SHARE = 1.0, 0.1  # an event may go on behind its file's end for a second, or a tenth of the file


class Event(NamedTuple):
    """A sound of one class from onset to offset; a detected one with the highest score inside."""

    onset_s: float
    offset_s: float
    label: str
    score: float = 1.0


class Group(NamedTuple):
    """What decides which terms of the loss a clip enters, and which clips may be mixed: see the fields of `Clip`."""

    kind: Kind = "strong"
    subset: str = ""
    annotated: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """What `train.batch_clips` calls it: its subset, or else its kind."""
        return self.subset or self.kind


STRONG = Group()


@dataclass(frozen=True)
class Clip:
    """One recording of a data set."""

    id: str
    audio: AudioSource
    duration_s: float
    events: tuple[Event, ...]
    kind: Kind = "strong"
    """What its events mean. `strong`: a class is in a frame or is not. `soft`: an event's score, in [0, 1], is the
    label of its frames. `weak`: labels of the whole clip, one event per label from its start to its end. `unlabelled`:
    it has no labels; events, of other classes, only decide how often it is drawn."""
    subset: str = ""
    """Part of the data that it comes from, such as "synthetic" or "weak"; batches may be composed by it."""
    annotated: tuple[str, ...] | None = None
    """Classes that its source annotates; losses and metrics ignore the others. Default None: all."""

    @property
    def group(self) -> Group:
        """Kind, subset and annotated classes."""
        return Group(self.kind, self.subset, self.annotated)


class Overhang(NamedTuple):
    """Events that went on behind the end of their file: rounding of annotators, padding of codecs."""

    num_cut: int = 0
    """Events that end at the file's end now."""
    num_dropped: int = 0
    """Events that began there or later."""
    longest_s: float = 0.0
    """By how much one went on at most."""

    def __bool__(self) -> bool:
        return self.num_cut + self.num_dropped > 0

    @classmethod
    def total(cls, parts: Iterable[Overhang]) -> Overhang:
        """Of several clips."""
        num_cut, num_dropped, longest_s = zip(cls(), *parts, strict=True)
        return cls(sum(num_cut), sum(num_dropped), max(longest_s))


@dataclass(frozen=True)
class Splits:
    """A data set: clips by part, labels in logit order, and what was left out."""

    classes: tuple[str, ...]
    train: Sequence[Clip]
    """A part may be larger than memory: iterate over it."""
    validation: Sequence[Clip]
    test: Sequence[Clip]
    skipped: tuple[str, ...] = field(default=())
    """Messages of unreadable files that `data.on_error=skip` left out."""
    num_skipped: Mapping[str, int] = field(default_factory=dict)
    """How many of them each part would have."""
    evaluated_classes: tuple[str, ...] | None = None
    """Those of the classes that metrics are taken over; default None, all."""
    expected: Mapping[str, int] | None = None
    """Clips by part of the complete data set; default None, unknown."""
    negatives: Sequence[Clip] = ()
    """Recordings without any event that nothing is trained on: whatever is detected in them is a false alarm."""
    overhang: Mapping[str, Overhang] = field(default_factory=dict)
    """By part, events that went on behind their file's end; a part without any is left out."""
    chosen_channel: str = ""
    """Channel that is used if it is not the data set's own; part of the hash."""
    has_folds: bool = False
    """Whether parts are folds of one collection, as in cross-validation."""
    subsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Clips that are here, and that the complete data set has, by subset; empty for data without any."""
    known_hash: str | None = None
    """Result of `hash_clips`, if it is stored with the data set."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are here."""
        return (*PARTS, "negatives") if self.negatives else PARTS

    @cached_property
    def manifest_hash(self) -> str:
        """Hash over every clip's part, name, content, duration and events; with folds, over the whole collection."""
        return self.known_hash or self.hash_clips()

    def hash_clips(self) -> str:
        """Compute the manifest hash of the clips as they are now."""
        digest = hashlib.sha256(repr(self.classes).encode() + self.chosen_channel.encode())
        clips: Iterable[tuple[str, Clip]] = ((part, clip) for part in self.parts for clip in getattr(self, part))
        if self.has_folds:
            clips = sorted({clip.id: ("", clip) for _, clip in clips}.values(), key=lambda item: item[1].id)
        for part, clip in clips:
            content = (part, clip.id, clip.audio.content_hash(), round(clip.duration_s, 6), clip.events)
            # what has strong labels of all classes is hashed as before there were others
            digest.update(repr(content if clip.group == STRONG else (*content, *clip.group)).encode())
        return digest.hexdigest()[:16]


def clip_events(
    events: Iterable[Event], duration_s: float, kind: Kind = "strong"
) -> tuple[tuple[Event, ...], Overhang]:
    """Events of a file up to its end, those of one class that overlap joined into one, and what was cut off.

    Soft ones, whose scores may differ, stay apart.

    Raises:
        DataError: For an event that goes on for more than a second, or a tenth of the file if that is more.
    """
    inside: list[Event] = []
    num_cut = num_dropped = 0
    longest_s = 0.0
    for event in events:
        if event.offset_s <= duration_s:
            inside.append(event)
            continue
        over_s = round(event.offset_s - duration_s, 6)
        if over_s > (allowed_s := max(OVERHANG_S, OVERHANG_SHARE * duration_s)):
            where = f"event {event.label!r} at {event.onset_s:g}-{event.offset_s:g} s"
            end = f"the file's end at {duration_s:g} s by more than {allowed_s:g} s"
            raise DataError(f"{where} lies beyond {end}; correct its times")
        longest_s = max(longest_s, over_s)
        if event.onset_s < duration_s:
            num_cut += over_s > 0
            inside.append(event._replace(offset_s=duration_s))
        else:
            num_dropped += 1
    joined = tuple(sorted(inside)) if kind == "soft" else merge_overlapping(inside)
    return joined, Overhang(num_cut, num_dropped, longest_s)


def hard_events(clip: Clip) -> tuple[Event, ...]:
    """Events of a clip that are there or not: of soft ones those with a score of at least a half."""
    if clip.kind != "soft":
        return clip.events
    return merge_overlapping(event._replace(score=1.0) for event in clip.events if event.score >= SOFT_THRESHOLD)


def overhang_notes(splits: Splits) -> list[str]:
    """Describe events that went on behind their file's end, in a line for each part."""
    notes = []
    for part, over in splits.overhang.items():
        left_out = f", {over.num_dropped} that began behind it left out" if over.num_dropped else ""
        cut = f"{part} part: {over.num_cut} events cut at their file's end{left_out}"
        notes.append(f"{cut}; at most {over.longest_s:.3g} s too long")
    return notes


def merge_overlapping(events: Iterable[Event]) -> tuple[Event, ...]:
    """Events in order of onset, those of one class that overlap or touch joined into one."""
    merged: list[Event] = []
    last: dict[str, int] = {}
    for event in sorted(events):
        index = last.get(event.label)
        if index is not None and event.onset_s <= merged[index].offset_s:
            merged[index] = merged[index]._replace(offset_s=max(merged[index].offset_s, event.offset_s))
        else:
            last[event.label] = len(merged)
            merged.append(event)
    return tuple(sorted(merged))


def encode_events(
    events: Iterable[Event],
    classes: Sequence[str],
    grid: FrameGrid,
    num_frames: int,
    start_s: float = 0.0,
    *,
    is_soft: bool = False,
) -> np.ndarray:
    """Frame targets, shape (classes, frames), of an excerpt from `start_s`; onsets round down, offsets up.

    They are in {0, 1}; if `is_soft`, they are the highest score of the events in a frame.
    """
    row = {label: index for index, label in enumerate(classes)}
    targets = np.zeros((len(classes), num_frames), dtype=np.float32)
    for event in events:
        first = max(0, grid.onset_frame(event.onset_s - start_s))
        last = min(num_frames, grid.offset_frame(event.offset_s - start_s))
        if first < last:
            frames = targets[row[event.label], first:last]
            frames[:] = np.maximum(frames, event.score) if is_soft else 1.0
    return targets
