"""What AudioSet's strong and weak sets have in common: from a layout and its annotations to clips by part."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import gc
import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import STRONG, Clip, Event, Group, Overhang, Splits, clip_events
from efficient_sed.data.sets._audioset_layouts import Layout, Located, Side, open_layout
from efficient_sed.data.sets._audioset_tables import LABEL_END_S, Annotations
from efficient_sed.data.storage.array_columns import gather
from efficient_sed.data.storage.columns import JoinedParts, select
from efficient_sed.data.storage.index import IndexEntry, IndexRow, look_up
from efficient_sed.data.storage.sources import AudioFile, ContainerAudio
from efficient_sed.errors import DataError, require

logger = logging.getLogger(__name__)


class WeakClips(NamedTuple):
    """Clips of another set, which belong to the training part and have no labels of the classes here."""

    clips: Sequence[Clip] = ()
    skipped: tuple[str, ...] = ()
    """Messages of unreadable files that `data.on_error=skip` left out."""
    expected: int = 0
    """Clips that the complete data set has."""


@dataclass(frozen=True)
class AudioSetConfig(DataConfig, abc.ABC):
    """AudioSet as it lies on a disk: an Arrow data set, HDF5 files of mp3, or a folder of audio files."""

    root: str = "audioset"
    """Folder that holds the splits, and the official annotations where the layout has none of its own."""
    layout: Literal["auto", "arrow", "hdf5", "folder"] = "auto"
    """Form of the data set; `auto` recognises it."""
    validation_share: float = 0.0
    """Share of the training clips that choose the best epoch, picked by a hash of their ids; 0: the evaluation part
    chooses it, as published."""

    default_channel: ClassVar[int | None] = 1  # as published
    OFFICIAL: ClassVar[Mapping[Side, int]]
    """Clips of each side in the official lists."""
    ROOT_KEY: ClassVar[str] = "data.root"
    """The option that names the folder, for messages."""
    GROUP: ClassVar[Group] = STRONG
    """What its labels mean."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.validation_share < 1, "data.validation_share", self.validation_share, "0 to below 1")

    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Labels in logit order."""

    def evaluated_classes(self) -> tuple[str, ...] | None:
        """Those of the classes that metrics are taken over; default None, all."""
        return None

    @abc.abstractmethod
    def annotations(self, layout: Layout, side: Side) -> Annotations:
        """Events of the clips of one side."""

    def weak_clips(self, held_out: Collection[str]) -> WeakClips:
        """Further clips to train on, without those that are held out."""
        return WeakClips()

    def load(self) -> Splits:
        layout = open_layout(Path(self.root), self.layout, self.ROOT_KEY)
        skipped: dict[Side, list[str]] = {"train": [], "eval": []}
        cut: dict[str, Overhang] = {}
        with _no_garbage_collection(), contextlib.closing(layout):
            sides = {side: self._clips(layout, side, messages_of, cut) for side, messages_of in skipped.items()}
        evaluated = {clip.id for clip in sides["eval"]}
        if shared := [clip.id for clip in sides["train"] if clip.id in evaluated]:
            raise DataError(
                f"data.root={self.root}: the clip {min(shared)} is in the training and in the evaluation part; a clip "
                "belongs to one, else scores mean nothing"
            )
        train, test = sides["train"], self._evaluated(sides["eval"], "evaluation")
        held_out: list[Clip] = []
        expected = {"train": self.OFFICIAL["train"], "test": self.OFFICIAL["eval"] - (len(sides["eval"]) - len(test))}
        num_skipped = {"train": len(skipped["train"]), "test": len(skipped["eval"])}
        if self.validation_share > 0:
            held_out = [clip for clip in train if is_held_out(clip.id, self.validation_share)]
            train = select(train, (not is_held_out(clip.id, self.validation_share) for clip in train))
            validation = self._evaluated(held_out, "validation")
            expected |= {"train": self.OFFICIAL["train"] - len(held_out), "validation": len(validation)}
        else:
            validation = test
            expected["validation"], num_skipped["validation"] = expected["test"], num_skipped["test"]
        weak = self.weak_clips(evaluated | {clip.id for clip in held_out})
        if weak.clips:
            expected["train"] += weak.expected
            num_skipped["train"] += len(weak.skipped)
        messages = (*skipped["train"], *skipped["eval"], *weak.skipped)
        for part, clips in (("training", train), ("validation", validation), ("evaluation", test)):
            if not clips:
                raise DataError(
                    f"data.root={self.root}: 0 clips for {part}"
                    + (f" ({messages[0]})" if messages else "; give more of AudioSet, or another data.validation_share")
                )
        parts = {"train": train, "validation": validation, "test": test} if cut else {}
        totals = {part: Overhang.total(cut[clip.id] for clip in own if clip.id in cut) for part, own in parts.items()}
        return Splits(
            self.classes(), JoinedParts([train, weak.clips]) if weak.clips else train, validation, test,
            skipped=messages, num_skipped=num_skipped,
            evaluated_classes=self.evaluated_classes(), expected=expected,
            chosen_channel=self.chosen_channel,
            overhang={part: total for part, total in totals.items() if total},
        )  # fmt: skip

    def training_clips(self, held_out: Collection[str]) -> WeakClips:
        """The training side alone, without clips that are held out elsewhere."""
        skipped: list[str] = []
        with (
            _no_garbage_collection(),
            contextlib.closing(open_layout(Path(self.root), self.layout, self.ROOT_KEY)) as layout,
        ):
            found = self._clips(layout, "train", skipped, {})
        clips = select(found, (clip.id not in held_out for clip in found))
        num_held_out = len(found) - len(clips)
        if num_held_out:
            also = "%s: %s weak clips also stand in the strong validation or evaluation part and are left out"
            logger.info(also, self.root, f"{num_held_out:,}")
        if not clips:
            raise DataError(
                f"{self.ROOT_KEY}={self.root}: 0 weak clips are left for training; {num_held_out} stand in the strong "
                f"evaluation part, {len(skipped)} are unreadable"
            )
        return WeakClips(clips, tuple(skipped), self.OFFICIAL["train"] - num_held_out)

    def _clips(self, layout: Layout, side: Side, skipped: list[str], cut: dict[str, Overhang]) -> Sequence[Clip]:
        """Clips of one side in order of their ids: the same whichever layout they come from."""

        def read() -> Iterator[Clip]:
            for clip in ids:
                try:
                    yield _clip(
                        clip,
                        located[clip][1],
                        entries[clip],
                        annotations.events[clip],
                        self.channel_number,
                        cut,
                        self.GROUP,
                    )
                except DataError as error:
                    problems.append(str(error))

        annotations = self.annotations(layout, side)
        if annotations.outside:
            beyond = "%s: %s events of %d classes outside the %d are left out of the %s part"
            num_events, num_outside = f"{annotations.outside.total():,}", len(annotations.outside)
            logger.info(beyond, self.root, num_events, num_outside, len(self.classes()), side)
        located = layout.locate(side)
        ids = sorted(annotations.events.keys() & located.keys())
        if not ids:
            wanted = min(annotations.events, default="none")
            raise DataError(
                f"{self.ROOT_KEY}={self.root}: none of the {len(annotations.events):,} annotated clips of the {side} "
                f"part has audio here; looked for {wanted} and so on"
            )
        logger.info(
            "%s: %s of %s clips of the %s part are here", self.root, f"{len(ids):,}", f"{self.OFFICIAL[side]:,}", side
        )
        entries = _look_up_all({clip: located[clip] for clip in ids}, self.pool_size)
        problems: list[str] = []
        clips = gather(read())
        if problems and self.on_error == "raise":
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise DataError(f"{problems[0]}{more}; data.on_error=skip leaves such files out")
        skipped.extend(problems)
        return clips

    def _evaluated(self, clips: Sequence[Clip], part: str) -> Sequence[Clip]:
        """Clips with an event of an evaluated class."""
        evaluated = self.evaluated_classes()
        if evaluated is None:
            return clips
        kept = select(clips, (has_class(clip.events, frozenset(evaluated)) for clip in clips))
        if len(kept) < len(clips):
            without = "%s: %d %s clips hold none of the %d evaluated classes and are left out"
            logger.info(without, self.root, len(clips) - len(kept), part, len(evaluated))
        return kept


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector, which would take longer than making millions of objects that are all kept."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def is_held_out(clip: str, share: float) -> bool:
    """Whether a training clip belongs to the validation part; depends only on its id."""
    return int(hashlib.sha256(clip.encode()).hexdigest()[:8], 16) < share * 2**32


def has_class(events: Iterable[Event], classes: Collection[str]) -> bool:
    """Whether any event is of one of the classes."""
    return any(event.label in classes for event in events)


def _look_up_all(located: Located, num_workers: int) -> dict[str, IndexEntry]:
    """Index entries of clips, container by container."""
    by_container: dict[Path, dict[str, IndexRow]] = {}
    for clip, (container, row) in located.items():
        by_container.setdefault(container, {})[clip] = row
    entries: dict[str, IndexEntry] = {}
    for container, rows in by_container.items():
        entries.update(zip(rows, look_up(container, list(rows.values()), num_workers), strict=True))
    return entries


def _clip(
    clip: str, row: IndexRow, entry: IndexEntry, events: Sequence[Event], channel: int | None,
    cut: dict[str, Overhang], group: Group,
) -> Clip:  # fmt: skip
    if entry.problem:
        raise DataError(entry.problem)
    end_s, source = entry.duration_s, row.source
    whole = (event if event.offset_s < LABEL_END_S else event._replace(offset_s=end_s) for event in events)
    try:
        inside, overhang = clip_events(whole, end_s)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    if overhang:
        cut[clip] = overhang
    if isinstance(source, AudioFile | ContainerAudio):
        source = dataclasses.replace(source, digest=entry.digest, channel=channel)
    return Clip(clip, source, end_s, inside, *group)
