"""TUT-SED Synthetic 2016: a hundred mixtures of about eight minutes with up to five of 16 classes at once.

Cakir et al., "Convolutional recurrent neural networks for polyphonic sound event detection", 2017
(https://arxiv.org/abs/1702.06286). Training takes sequences of 1024 frames of 10 ms, as in Drossos et al. 2020;
validation and test take whole mixtures, so that no border is scored.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import PARTS, Clip, Event, Splits, merge_overlapping
from efficient_sed.data.parts import read_parts
from efficient_sed.data.sets._text import read_rows
from efficient_sed.data.storage.sources import Excerpt
from efficient_sed.errors import DataError
from efficient_sed.files.folders import list_folder
from efficient_sed.registry import DATASETS

logger = logging.getLogger(__name__)
CLASSES = (
    "alarms_and_sirens", "baby_crying", "bird_singing", "bus", "cat_meowing", "crowd_applause", "crowd_cheering",
    "dog_barking", "footsteps", "glass_smash", "gun_shot", "horsewalk", "mixer", "motorcycle", "rain", "thunder",
)  # fmt: skip
PREFIX = "TUT-SED-synthetic-2016"
SEQUENCE_S = 10.24  # 1024 frames
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.2
_NUMBER = re.compile(r"(?:mix|mixture|annot)[-_](\d+)$")


@DATASETS.register("tut_sed_synthetic_2016")
@dataclass(frozen=True)
class TutSedSynthetic2016Config(DataConfig):
    """The published folder: audio/TUT-SED-synthetic-2016-mix-N.wav and meta/TUT-SED-synthetic-2016-annot-N.txt.

    Rows of annotations are `onset offset label`.

    By number, the first fifth of the mixtures is the test part, the second the validation part, the rest is trained on:
    the papers give shares, no numbers.
    """

    root: str = "data"
    """Folder that holds audio/ and meta/."""
    clip_seconds: float = SEQUENCE_S
    """Length of the sequences that the training mixtures are cut into, and of the windows that the others are scored
    in."""
    median_frames: int = 1
    """Window of the median filter on scores, in the model's frames; odd. Published: none."""

    def load(self) -> Splits:
        """Read the clips and their events; see `DataConfig.load`."""
        root = Path(self.root)
        audio, meta = (
            _by_number(root / name, suffixes) for name, suffixes in (("audio", SUFFIXES), ("meta", (".txt",)))
        )
        for number in sorted(audio.keys() - meta.keys()):
            raise DataError(
                f"{audio[number]}: its annotations are missing; expected: {root / 'meta'}/{PREFIX}-annot-{number}.txt"
            )
        numbers = sorted(meta)
        num_test, num_validation = (max(1, round(share * len(numbers))) for share in (TEST_SHARE, VALIDATION_SHARE))
        by_part = {
            "test": numbers[:num_test],
            "validation": numbers[num_test : num_test + num_validation],
            "train": numbers[num_test + num_validation :],
        }
        # a missing one is read_parts' to report
        names = {number: audio[number].name if number in audio else f"{PREFIX}-mix-{number}.wav" for number in numbers}
        events = {part: {names[number]: read_rows(meta[number], CLASSES) for number in by_part[part]} for part in PARTS}
        _report_overlaps(events)
        splits = read_parts(
            dict.fromkeys(PARTS, root / "audio"),
            events,
            CLASSES,
            self.on_error,
            self.pool_size,
            channel=self.channel_number,
        )
        short = [clip.id for part in PARTS for clip in getattr(splits, part) if clip.duration_s < self.clip_seconds]
        if short:
            padded = "%d mixtures are shorter than data.clip_seconds=%g and are padded with silence, such as %s"
            logger.warning(padded, len(short), self.clip_seconds, short[0])
        train = tuple(piece for clip in splits.train for piece in cut_clip(clip, self.clip_seconds))
        return replace(splits, train=train)


def cut_clip(clip: Clip, seconds: float) -> list[Clip]:
    """Consecutive sequences of a clip with their share of its events; the last one is shorter."""
    pieces = []
    for index in range(max(1, math.ceil(round(clip.duration_s / seconds, 6)))):
        start, end = index * seconds, min((index + 1) * seconds, clip.duration_s)
        inside = [event for event in clip.events if event.onset_s < end and event.offset_s > start]
        events = tuple(
            event._replace(onset_s=max(0.0, event.onset_s - start), offset_s=min(end, event.offset_s) - start)
            for event in inside
        )
        audio = Excerpt(clip.audio, start, end - start)
        pieces.append(replace(clip, id=f"{clip.id}@{index}", audio=audio, duration_s=end - start, events=events))
    return pieces


def _by_number(folder: Path, suffixes: tuple[str, ...]) -> Mapping[int, Path]:
    """Files of mixtures by their number."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such directory; data.root=DIR is the folder that holds audio/ and meta/ of TUT-SED "
            "Synthetic 2016"
        )
    found: dict[int, Path] = {}
    for path in list_folder(folder):
        if path.suffix.lower() in suffixes and (match := _NUMBER.search(path.stem)):
            number = int(match[1])
            if number in found:
                raise DataError(f"{path}: mixture {number} is there twice, as {found[number].name} too")
            found[number] = path
    if not found:
        raise DataError(
            f"{folder}: no mixture in it; expected names such as "
            f"{PREFIX}-{'annot-1.txt' if suffixes == ('.txt',) else 'mix-1.wav'}"
        )
    return found


def _report_overlaps(events: Mapping[str, Mapping[str, Sequence[Event]]]) -> None:
    """Log how many events `read_parts` will join with another, in one line for all mixtures."""
    joined = {name: len(own) - len(merge_overlapping(own)) for part in PARTS for name, own in events[part].items()}
    affected = [name for name, count in joined.items() if count]
    if affected:
        overlaps = "%d events overlap one of their class and are joined with it, in %d mixtures, such as %s"
        logger.info(overlaps, sum(joined.values()), len(affected), affected[0])
