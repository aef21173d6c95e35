"""Data sets of several subsets, each a folder of recordings with labels of its own kind, of which many have a part."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import PARTS, Event, Kind, Overhang, Splits
from efficient_sed.data.parts import read_parts
from efficient_sed.data.spelling import FolderNames
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)


class Subset(NamedTuple):
    """Recordings of one folder, in one part of the data set."""

    name: str
    """Becomes `Clip.subset`, and the beginning of its clips' ids."""
    kind: Kind
    part: str
    expected: int
    """Clips of the complete data set."""
    left_out_by: str
    """What a user types to do without it; empty if there is nothing."""

    @property
    def advice(self) -> str:
        """End of a message about what is missing."""
        return f"; {self.left_out_by} leaves it out" if self.left_out_by else ""


def read_subset(
    subset: Subset, folder: Path, labels: Mapping[str, Sequence[Event]], classes: Sequence[str], config: DataConfig
) -> Splits:
    """Clips of a subset; files that are not there are counted, and left out.

    Args:
        subset: What it is.
        folder: Of its recordings.
        labels: Events by file name.
        classes: Labels in logit order.
        config: The data set's options.

    Raises:
        DataError: If none of the files is there, or as `read_parts`.
    """
    names = FolderNames(folder)
    here = {name: own for name, own in labels.items() if names.path(name).is_file()}
    if not here:
        such = f", such as {min(labels)}" if labels else ""
        words = f"none of the {len(labels):,} clips of the subset {subset.name} is here{such}"
        raise DataError(f"{folder}: {words}{subset.advice}")
    logger.info("%s: %s %s of %s clips are here", folder, subset.name, f"{len(here):,}", f"{subset.expected:,}")
    empty = [part for part in PARTS if part != subset.part]
    splits = read_parts(
        dict.fromkeys(PARTS, folder), {subset.part: here}, classes, config.on_error, config.pool_size, empty,
        channel=config.channel_number, kind=subset.kind,
    )  # fmt: skip
    clips: dict[str, Any] = {
        subset.part: tuple(
            replace(clip, id=f"{subset.name}/{clip.id.removeprefix(f'{folder.name}/')}", subset=subset.name)
            for clip in getattr(splits, subset.part)
        )
    }
    covered = {subset.name: (len(here), subset.expected)}
    return replace(splits, **clips, expected={subset.part: subset.expected}, subsets=covered)


def join_splits(classes: Sequence[str], subsets: Sequence[Splits]) -> Splits:
    """One data set of several.

    Args:
        classes: Labels in logit order, of all of them.
        subsets: Their clips; no two have clips of one id.
    """
    clips: dict[str, Any] = {
        part: tuple(clip for splits in subsets for clip in getattr(splits, part)) for part in PARTS
    }
    totals = {
        part: Overhang.total(splits.overhang[part] for splits in subsets if part in splits.overhang) for part in PARTS
    }
    num_skipped, expected = Counter[str](), Counter[str]()
    for splits in subsets:
        num_skipped.update(splits.num_skipped)
        expected.update(splits.expected or {})
    return Splits(
        tuple(classes), **clips,
        skipped=tuple(message for splits in subsets for message in splits.skipped), num_skipped=dict(num_skipped),
        expected=dict(expected) or None,
        overhang={part: total for part, total in totals.items() if total},
        chosen_channel=subsets[0].chosen_channel,
        subsets={name: covered for splits in subsets for name, covered in splits.subsets.items()},
    )  # fmt: skip
