"""What is written once for a set of sounds: which part has which, trimmed samples, and the scenes that are scored."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import audio_info, read_audio
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
TABLE, SAMPLES = "sounds.tsv", "{}.pcm"
BLOCK = 64  # sounds decoded ahead of the writer
LEAST_PIECE_S = 1.0  # of a recording that is divided among parts


class Use(NamedTuple):
    """A sound, or a stretch of it, in one part."""

    role: str
    part: str
    sound: FoundSound
    share: tuple[float, float] = (0.0, 1.0)
    """From where to where in the file."""


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


def divide(plan: Plan, found: Mapping[str, Sequence[FoundSound]], keys: Mapping[str, str]) -> list[Use]:
    """Which part has which sound: whole groups, or stretches of recordings without labels where those are too few.

    Raises:
        DataError: If they are too few, or too short.
    """
    uses: list[Use] = []
    for role, sounds in found.items():
        shares = {part: share for part, share in plan.shares[role].items() if share}
        num_groups = len({sound.group for sound in sounds})
        if role != FOREGROUND and num_groups < 1 + len(shares):
            uses += _stretches(role, sounds, shares, keys[role])
            continue
        part_of = split_groups(keys[role], sounds, shares, plan.seed)
        uses += [Use(role, part_of[sound.group], sound) for sound in sounds]
    return uses


def _stretches(role: str, sounds: Sequence[FoundSound], shares: Shares, key: str) -> Iterator[Use]:
    parts = ", ".join(("train", *shares))
    logger.info("%s: %d recordings, each divided in time among %s", key, len(sounds), parts)
    for sound in sounds:
        seconds, end = audio_info(sound.path).duration_s, 1 - sum(shares.values())
        if min(end, *shares.values()) * seconds < LEAST_PIECE_S:
            short = f"{sound.path}: {seconds:.3g} s are too short to be divided among {parts}"
            raise DataError(f"{short}; give {1 + len(shares)} recordings or more as {key.partition('=')[0]}=DIR")
        yield Use(role, "train", sound, (0.0, end))
        for part, share in shares.items():
            yield Use(role, part, sound, (end, end + share))
            end += share


class _Log:
    """What a message says in the end."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.num_sounds = self.num_trimmed = self.num_short = self.num_long = self.num_left_out = 0
        self.seconds = self.trimmed_s = 0.0

    def write(self, config: MixingConfig) -> None:
        if self.num_trimmed:
            logger.info(
                "silence cut off %d of %d sounds: %.1f s of %.1f s (data.trim_db=%g)",
                self.num_trimmed, self.num_sounds, self.trimmed_s, self.seconds, config.trim_db,
            )  # fmt: skip
        if self.num_short:
            words = "%d sounds are shorter than data.min_event_seconds=%g and left out"
            logger.warning(words, self.num_short, config.min_event_seconds)
        if self.num_long:
            words = "%d sounds are longer than an event of %g s: each scene has an excerpt"
            logger.warning(words, self.num_long, config.longest_event_s)
        if self.num_left_out:
            words = "%d sounds are beyond data.cache_mb and decoded from their files each time they are drawn"
            logger.info(words, self.num_left_out)


def prepare(
    config: MixingConfig, plan: Plan, found: Mapping[str, Sequence[FoundSound]], keys: Mapping[str, str], folder: Path
) -> list[str]:
    """Write sounds.tsv, the samples that are trained on, and the scenes of the other parts.

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
    log = _Log()
    kept: list[Kept] = []
    uses = divide(plan, found, keys)
    for part in PARTS:
        writer = BankWriter(folder / SAMPLES.format(part), plan.cache_bytes)
        try:
            kept += _keep([use for use in uses if use.part == part], config, writer, log)
        finally:
            writer.close()
        log.num_left_out += writer.num_left_out if part == "train" else 0
    _check_kept(kept, uses, keys, log)
    log.write(config)
    rows = [(k.role, k.part, k.sound.label, k.name, f"{k.sound.start_s:.6f}", f"{k.sound.size / SAMPLE_RATE:.6f}",
             "" if k.sound.place is None else k.sound.place) for k in kept]  # fmt: skip
    (folder / TABLE).write_text("".join(map(join_row, (COLUMNS, *rows))), encoding="utf-8")
    for part, count in plan.num_scenes.items():
        draw = partial(_draw_fixed, create_mixer(config, kept, part, folder), plan.seed, part)
        write_scenes(folder, part, count, draw, config.pool_size)
        (folder / SAMPLES.format(part)).unlink()
    return log.skipped


def _draw_fixed(mixer: SceneMixer, seed: int, part: str, index: int) -> tuple[np.ndarray, list[Event]]:
    return mixer.draw(fixed_rng(seed, part, index))


def create_mixer(config: MixingConfig, kept: Sequence[Kept], part: str, folder: Path) -> SceneMixer:
    """What mixes the scenes of a part; those of the test part have no negatives, which are scored by themselves."""
    banks = {}
    for role in ROLES:
        sounds = [own.sound for own in kept if (own.role, own.part) == (role, part)]
        if sounds and (role, part) != (NEGATIVES, "test"):
            banks[role] = SoundBank(sounds, folder / SAMPLES.format(part), config.channel_number)
    return SceneMixer(config, banks[FOREGROUND], banks.get(BACKGROUND), banks.get(NEGATIVES))


def _keep(uses: Sequence[Use], config: MixingConfig, writer: BankWriter, log: _Log) -> Iterator[Kept]:
    remaining = iter(uses)
    with ThreadPoolExecutor(max_workers=max(1, config.pool_size)) as pool:
        while block := list(itertools.islice(remaining, BLOCK)):
            for use, decoded in zip(block, pool.map(partial(_decode, config=config), block), strict=True):
                if isinstance(decoded, str):
                    if config.on_error == "raise":
                        raise DataError(f"{decoded}; data.on_error=skip leaves such files out")
                    log.skipped.append(decoded)
                elif own := _kept(use, *decoded, config, writer, log):
                    yield own


def _decode(use: Use, config: MixingConfig) -> tuple[float, np.ndarray] | str:
    """Where a stretch begins in its file, and its samples; or the message of a file that cannot be used."""
    try:
        start_s, seconds = 0.0, None
        if use.share != (0.0, 1.0):
            whole_s = audio_info(use.sound.path).duration_s
            start_s, seconds = use.share[0] * whole_s, (use.share[1] - use.share[0]) * whole_s
        samples = read_audio(use.sound.path, start_s, seconds, channel=config.channel_number)
    except DataError as error:
        return str(error)
    if is_silent(samples):
        return f"{use.sound.path}: silent: no sample reaches -80 dB of full scale"
    return start_s, samples


def _kept(
    use: Use, start_s: float, samples: np.ndarray, config: MixingConfig, writer: BankWriter, log: _Log
) -> Kept | None:
    """Trim and store a sound; None if it is too short for an event."""
    if use.role == BACKGROUND:
        where = slice(0, len(samples))
    else:
        where = find_sound(samples, config.trim_db)
        cut = len(samples) - (where.stop - where.start)
        log.num_sounds += 1
        log.num_trimmed += cut > 0
        log.seconds += len(samples) / SAMPLE_RATE
        log.trimmed_s += cut / SAMPLE_RATE
    count = where.stop - where.start
    if count < config.min_event_seconds * SAMPLE_RATE:
        log.num_short += 1
        return None
    log.num_long += use.role == FOREGROUND and count > config.longest_event_s * SAMPLE_RATE
    place = writer.add(samples[where])
    sound = BankSound(use.sound.label, use.sound.path, start_s + where.start / SAMPLE_RATE, count, place)
    return Kept(use.role, use.part, sound, use.sound.name)


def _check_kept(kept: Sequence[Kept], uses: Sequence[Use], keys: Mapping[str, str], log: _Log) -> None:
    """Raise a DataError if leaving sounds out emptied a class of a part."""
    left = {(own.role, own.part, own.sound.label) for own in kept}
    for use in uses:
        if (use.role, use.part, use.sound.label) not in left:
            label = f"class {use.sound.label!r}" if use.sound.label else "it"
            why = log.skipped[0] if log.skipped else "they are shorter than data.min_event_seconds"
            raise DataError(f"{keys[use.role]}: {label} has no sound left for {use.part}: {why}")


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
