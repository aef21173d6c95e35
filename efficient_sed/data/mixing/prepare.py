"""What is written once for a set of sounds: their samples, which part has which, and the scenes that are scored."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.events import PARTS, Event
from efficient_sed.data.mixing.bank import BankWriter, SoundBank
from efficient_sed.data.mixing.find import BACKGROUND, FOREGROUND, NEGATIVES, ROLES, FoundSound
from efficient_sed.data.mixing.mixer import SceneMixer
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.recipe import fixed_rng
from efficient_sed.data.mixing.split import Shares, split_groups
from efficient_sed.data.mixing.table import Kept, write_kept
from efficient_sed.data.mixing.usable import Report, Usable, find_usable
from efficient_sed.data.mixing.write import write_scenes
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
SAMPLES = "sounds.pcm"
LEAST_PIECE_S = 1.0  # of a recording that is divided among parts


class Plan(NamedTuple):
    """What the sounds are divided by, beside the options of the scenes."""

    shares: Mapping[str, Shares]
    """By role."""
    num_scenes: Mapping[str, int]
    """Of the validation and the test part."""
    seed: int
    cache_bytes: float


def prepare(
    config: MixingConfig, plan: Plan, found: Mapping[str, Sequence[FoundSound]], keys: Mapping[str, str], folder: Path
) -> list[str]:
    """Write sounds.tsv, the samples that scenes are mixed of, and the scenes of validation and test.

    Args:
        config: Options of the scenes.
        plan: How the sounds are divided.
        found: Sounds by role, with groups.
        keys: Options that named their folders, for messages, by role.
        folder: An empty one.

    Returns:
        Messages about sounds that were left out.

    Raises:
        DataError: If a sound is silent or cannot be read and `data.on_error` is not "skip", or sounds are too few.
    """
    report = Report(config)
    writer = BankWriter(folder / SAMPLES, plan.cache_bytes)
    try:
        usable = list(find_usable(found, config, writer, report))
    finally:
        writer.close()
    report.log(writer.num_left_out)
    _check_classes(found, usable, keys, report)
    kept = _divide(plan, usable, keys)
    for role in found:
        counts = Counter(own.part for own in kept if own.role == role)
        logger.info("%s: %s", keys[role], ", ".join(f"{counts[part]} for {part}" for part in PARTS if counts[part]))
    write_kept(folder, kept)
    for part, count in plan.num_scenes.items():
        draw = partial(_draw_fixed, create_mixer(config, kept, part, folder), plan.seed, part)
        write_scenes(folder, part, count, draw, config.pool_size)
    return report.skipped


def _check_classes(
    found: Mapping[str, Sequence[FoundSound]], usable: Sequence[Usable], keys: Mapping[str, str], report: Report
) -> None:
    """Raise a DataError if no sound of a class can be mixed."""
    for role, sounds in found.items():
        labels = {own.found.label for own in usable if own.role == role}
        if lost := next((sound for sound in sounds if sound.label not in labels), None):
            why = report.skipped[0] if report.skipped else "all are shorter than data.min_event_seconds"
            raise DataError(f"{keys[role]}: {f'class {lost.label!r}' if lost.label else 'it'} has no sound left: {why}")


def _draw_fixed(mixer: SceneMixer, seed: int, part: str, index: int) -> tuple[np.ndarray, list[Event]]:
    return mixer.draw(fixed_rng(seed, part, index))


def create_mixer(config: MixingConfig, kept: Sequence[Kept], part: str, folder: Path) -> SceneMixer:
    """What mixes the scenes of a part; those of the test part have no negatives, which are scored by themselves."""
    banks = {}
    for role in ROLES:
        sounds = [own.sound for own in kept if (own.role, own.part) == (role, part)]
        if sounds and (role, part) != (NEGATIVES, "test"):
            banks[role] = SoundBank(sounds, folder / SAMPLES, config.channel_number)
    return SceneMixer(config, banks[FOREGROUND], banks.get(BACKGROUND), banks.get(NEGATIVES))


def _divide(plan: Plan, usable: Sequence[Usable], keys: Mapping[str, str]) -> list[Kept]:
    """Which part has which sound: whole groups, or stretches of recordings without labels where those are too few.

    Raises:
        DataError: If they are too few, or too short.
    """
    kept: list[Kept] = []
    for role in dict.fromkeys(own.role for own in usable):
        sounds = [own for own in usable if own.role == role]
        shares = {part: share for part, share in plan.shares[role].items() if share}
        if role != FOREGROUND and len({own.found.group for own in sounds}) < 1 + len(shares):
            kept += _stretches(role, sounds, shares, keys[role])
            continue
        part_of = split_groups(keys[role], [own.found for own in sounds], shares, plan.seed)
        kept += [Kept(role, part_of[own.found.group], own.sound, own.found.name) for own in sounds]
    return kept


def _stretches(role: str, sounds: Sequence[Usable], shares: Shares, key: str) -> Iterator[Kept]:
    of_parts = {"train": 1 - sum(shares.values()), **shares}
    logger.info("%s: recordings that are divided in time among %s: %d", key, ", ".join(of_parts), len(sounds))
    for _, found, sound in sounds:
        first = 0
        for part, share in of_parts.items():
            size = round(share * sound.size)
            if size < LEAST_PIECE_S * SAMPLE_RATE:
                short = f"{sound.path}: {sound.size / SAMPLE_RATE:.3g} s are too short to be divided among"
                option = key.partition("=")[0]
                raise DataError(
                    f"{short} {', '.join(of_parts)}; give {len(of_parts)} recordings or more as {option}=DIR"
                )
            size = min(size, sound.size - first)
            place = None if sound.place is None else sound.place + first
            start_s = sound.start_s + first / SAMPLE_RATE
            yield Kept(role, part, sound._replace(start_s=start_s, size=size, place=place), found.name)
            first += size
