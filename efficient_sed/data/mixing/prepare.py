"""What is written once for a set of sounds: which part has which, trimmed samples, and the scenes that are scored."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import read_audio
from efficient_sed.data.annotations.tables import join_row, read_table, read_text
from efficient_sed.data.events import PARTS, Event
from efficient_sed.data.mixing.bank import BankSound, BankWriter, SoundBank
from efficient_sed.data.mixing.find import FoundSound
from efficient_sed.data.mixing.mixer import SceneMixer
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.recipe import fixed_rng
from efficient_sed.data.mixing.split import Shares, split_groups
from efficient_sed.data.mixing.trim import find_sound, is_silent
from efficient_sed.data.mixing.write import write_scenes
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
FOREGROUND, BACKGROUND, NEGATIVES = ROLES = ("foreground", "background", "negatives")
COLUMNS = ("role", "part", "label", "file", "start", "seconds", "place")
TABLE, SAMPLES = "sounds.tsv", "sounds.pcm"
BLOCK = 64  # sounds decoded ahead of the writer
LEAST_PIECE_S = 1.0  # of a recording that is divided among parts


class Usable(NamedTuple):
    """A sound that can be mixed."""

    role: str
    found: FoundSound
    sound: BankSound


class Kept(NamedTuple):
    """A sound as the table lists it."""

    role: str
    part: str
    sound: BankSound
    name: str


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
    report = _Report(config)
    writer = BankWriter(folder / SAMPLES, plan.cache_bytes)
    try:
        usable = list(_usable(found, config, writer, report))
    finally:
        writer.close()
    report.log(writer.num_left_out)
    for role, sounds in found.items():
        labels = {own.found.label for own in usable if own.role == role}
        if lost := next((sound for sound in sounds if sound.label not in labels), None):
            why = report.skipped[0] if report.skipped else "all are shorter than data.min_event_seconds"
            raise DataError(f"{keys[role]}: {f'class {lost.label!r}' if lost.label else 'it'} has no sound left: {why}")
    kept = _divide(plan, usable, keys)
    for role in found:
        counts = Counter(own.part for own in kept if own.role == role)
        logger.info("%s: %s", keys[role], ", ".join(f"{counts[part]} for {part}" for part in PARTS if counts[part]))
    rows = [_row(own) for own in kept]
    (folder / TABLE).write_text("".join(map(join_row, (COLUMNS, *rows))), encoding="utf-8")
    for part, count in plan.num_scenes.items():
        draw = partial(_draw_fixed, create_mixer(config, kept, part, folder), plan.seed, part)
        write_scenes(folder, part, count, draw, config.pool_size)
    return report.skipped


def _row(own: Kept) -> tuple[object, ...]:
    sound = own.sound
    place = "" if sound.place is None else sound.place
    times = f"{sound.start_s:.6f}", f"{sound.size / SAMPLE_RATE:.6f}"
    return own.role, own.part, sound.label, own.name, *times, place


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


class _Report:
    """What is said of the sounds in the end."""

    def __init__(self, config: MixingConfig) -> None:
        self.config = config
        self.skipped: list[str] = []
        self.num_sounds = self.num_trimmed = self.num_short = self.num_long = 0
        self.seconds = self.trimmed_s = 0.0

    def log(self, num_left_out: int) -> None:
        """Say it; `num_left_out` sounds had no room."""
        if self.num_trimmed:
            logger.info(
                "silence cut off %d of %d sounds: %.1f s of %.1f s (data.trim_db=%g)",
                self.num_trimmed, self.num_sounds, self.trimmed_s, self.seconds, self.config.trim_db,
            )  # fmt: skip
        if self.num_short:
            words = "sounds shorter than data.min_event_seconds=%g are left out: %d"
            logger.warning(words, self.config.min_event_seconds, self.num_short)
        if self.num_long:
            words = "sounds longer than an event of %g s, of which each scene has a random excerpt: %d"
            logger.warning(words, self.config.longest_event_s, self.num_long)
        if num_left_out:
            words = "sounds beyond data.cache_mb, decoded from their files each time they are drawn: %d"
            logger.info(words, num_left_out)


def _usable(
    found: Mapping[str, Sequence[FoundSound]], config: MixingConfig, writer: BankWriter, report: _Report
) -> Iterator[Usable]:
    """Decode, trim and store sounds; those that are silent, broken or too short are left out."""
    remaining = iter([(role, sound) for role, sounds in found.items() for sound in sounds])
    decode = partial(_decode, channel=config.channel_number)
    with ThreadPoolExecutor(max_workers=max(1, config.pool_size)) as pool:
        while block := list(itertools.islice(remaining, BLOCK)):
            decoded = pool.map(decode, [sound.path for _, sound in block])
            for (role, sound), samples in zip(block, decoded, strict=True):
                if isinstance(samples, str):
                    if config.on_error == "raise":
                        raise DataError(f"{samples}; data.on_error=skip leaves such files out")
                    report.skipped.append(samples)
                    continue
                where = _sound_in(samples, role, config, report)
                size = where.stop - where.start
                if size < config.min_event_seconds * SAMPLE_RATE:
                    report.num_short += 1
                    continue
                report.num_long += role == FOREGROUND and size > config.longest_event_s * SAMPLE_RATE
                place = writer.add(samples[where])
                start_s = where.start / SAMPLE_RATE
                yield Usable(role, sound, BankSound(sound.label, sound.path, start_s, size, place))


def _decode(path: Path, channel: int | None) -> np.ndarray | str:
    """Samples of a recording, or the message of one that cannot be used."""
    try:
        samples = read_audio(path, channel=channel)
    except DataError as error:
        return str(error)
    return f"{path}: silent: no sample reaches -80 dB of full scale" if is_silent(samples) else samples


def _sound_in(samples: np.ndarray, role: str, config: MixingConfig, report: _Report) -> slice:
    """A recording without the silence at its ends; a background keeps it."""
    if role == BACKGROUND:
        return slice(0, len(samples))
    where = find_sound(samples, config.trim_db)
    cut = len(samples) - (where.stop - where.start)
    report.num_sounds += 1
    report.num_trimmed += cut > 0
    report.seconds += len(samples) / SAMPLE_RATE
    report.trimmed_s += cut / SAMPLE_RATE
    return where


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


def read_kept(folder: Path, paths: Mapping[tuple[str, str], Path]) -> list[Kept]:
    """The table that `prepare` wrote.

    Args:
        folder: Where it lies.
        paths: Of the sounds, by role and name.

    Raises:
        DataError: If it cannot be read.
    """
    table, kept = folder / TABLE, []
    advice = f"delete {folder}, and it is written again"
    for where, row in read_table(table, read_text(table, advice), COLUMNS, delimiter="\t"):
        try:
            place = int(row["place"]) if row["place"] else None
            count, path = round(float(row["seconds"]) * SAMPLE_RATE), paths[row["role"], row["file"]]
            sound = BankSound(row["label"], path, float(row["start"]), count, place)
        except (KeyError, ValueError) as error:
            raise DataError(f"{where}: damaged ({error}); {advice}") from error
        kept.append(Kept(row["role"], row["part"], sound, row["file"]))
    return kept
