"""`data pack`: what it takes, and what it prints."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from efficient_sed.config.data import DataConfig
from efficient_sed.data.sets.packed import PackedConfig
from efficient_sed.data.storage.packed_file import is_packed
from efficient_sed.data.storage.packing import pack_data
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run

logger = logging.getLogger(__name__)


def pack_command(words: Sequence[str], *, is_forced: bool, shard_gb: float | None) -> str:
    """`data pack key=value… OUT`; returns the line to print.

    Raises:
        ConfigError: If there is not one OUT, it is there already, or does not go with the shards.
        DataError: If the data set cannot be read or the file not be written.
    """
    outputs = [word for word in words if "=" not in word]
    if len(outputs) != 1:
        raise ConfigError(f"data pack takes one OUT.h5 beside key=value pairs, got {' '.join(outputs) or 'none'}")
    output = Path(outputs[0])
    if shard_gb is not None and not 0 < shard_gb < math.inf:
        raise ConfigError(f"--shard-gb {shard_gb:g} is not allowed: a number above 0")
    if shard_gb is not None and output.suffix:
        raise ConfigError(
            f"{output} is not allowed with --shard-gb: a folder without an ending, such as {output.with_suffix('')}"
        )
    config = compose_run([word for word in words if word != outputs[0]]).data
    if output.exists() and not (is_forced and output.is_file() and shard_gb is None):
        raise ConfigError(
            f"{output}: is there already; give another name"
            + (", or --force" if output.is_file() else ", or delete that folder first")
        )
    if output.exists():
        _check_forced(config, output)
    packed = pack_data(config, output, shard_gb)
    for message in packed.unreadable:
        logger.warning("left out: %s", message)
    return (
        f"{output}: {packed.num_clips:,} clips, {packed.num_bytes / 1e9:.3g} GB, left out: {len(packed.unreadable)}; "
        f"read at {packed.clips_per_s:,.0f} clips a second, from data={config.name} at {packed.source_clips_per_s:,.0f}"
    )


def _check_forced(config: DataConfig, output: Path) -> None:
    """Raise a ConfigError if `--force` would replace what is packed, or anything but a packed file."""
    if isinstance(config, PackedConfig) and Path(config.root).exists() and output.samefile(config.root):
        raise ConfigError(f"{output}: is what would be packed; give another name")
    if output.stat().st_size and not is_packed(output):
        raise ConfigError(
            f"{output}: --force replaces packed files, and this is none, or a damaged one; "
            "give another name, or delete it"
        )
