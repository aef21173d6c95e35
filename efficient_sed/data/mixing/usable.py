"""Sounds that can be mixed: decoded, without the silence at their ends, loud and long enough."""

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
from efficient_sed.audio.io import read_audio
from efficient_sed.data.mixing.bank import BankSound, BankWriter
from efficient_sed.data.mixing.find import BACKGROUND, FOREGROUND, FoundSound
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.trim import find_background, find_sound, is_silent
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
BLOCK = 64  # sounds decoded ahead of the writer


class Usable(NamedTuple):
    """A sound that can be mixed."""

    role: str
    found: FoundSound
    sound: BankSound


class Report:
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


def find_usable(
    found: Mapping[str, Sequence[FoundSound]], config: MixingConfig, writer: BankWriter, report: Report
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


def _sound_in(samples: np.ndarray, role: str, config: MixingConfig, report: Report) -> slice:
    """A recording without the silence at its ends; what is cut off a background is not reported."""
    if role == BACKGROUND:
        return slice(0, len(samples)) if config.trim_db is None else find_background(samples)
    where = find_sound(samples, config.trim_db)
    cut = len(samples) - (where.stop - where.start)
    report.num_sounds += 1
    report.num_trimmed += cut > 0
    report.seconds += len(samples) / SAMPLE_RATE
    report.trimmed_s += cut / SAMPLE_RATE
    return where
