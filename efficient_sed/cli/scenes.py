"""`data scenes`: what it takes, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from efficient_sed.data.events import Clip, Event
from efficient_sed.data.mixing.recipe import SceneRecipe
from efficient_sed.data.mixing.write import write_scenes
from efficient_sed.data.samplers import Draw
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.files.atomic_folder import write_folder

DEFAULT_COUNT, MAX_COUNT = 10, 100_000


def scenes_command(words: Sequence[str], output: Path | None, count: int | None) -> str:
    """`data scenes key=value… --output DIR --count N`; returns the line to print.

    Raises:
        ConfigError: If DIR is missing or there already, or the data set mixes no scenes.
        DataError: If a sound cannot be read, or DIR not be written.
    """
    count = DEFAULT_COUNT if count is None else count
    if output is None:
        raise ConfigError("data scenes takes a folder to write: --output DIR")
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"--count {count} is not allowed: 1 to {MAX_COUNT}")
    if output.exists():
        raise ConfigError(f"--output {output}: is there already; give another name, or delete it first")
    config = compose_run(words)
    if config.data.name != "soundscapes":
        raise ConfigError(f"data={config.data.name} mixes no scenes; give data=soundscapes data.foreground=DIR")
    clips = config.data.load().train
    draw = partial(_draw, clips, config.seed)
    write_folder(output, lambda folder: write_scenes(folder, "train", count, draw, config.data.pool_size), "--output")
    return f"{output}: {count} scenes as epoch 1 of a training with seed={config.seed} begins, with {output}/train.tsv"


def _draw(clips: Sequence[Clip], seed: int, index: int) -> tuple[np.ndarray, tuple[Event, ...]]:
    """Scene of a training by its number; behind the last one the next epoch begins."""
    epoch, number = divmod(index, len(clips))
    clip = clips[number]
    assert isinstance(clip.audio, SceneRecipe)
    drawn = clip.audio.draw(clip, np.random.default_rng([seed, *Draw(epoch, number)]))
    return drawn.audio.read().numpy(), drawn.events
