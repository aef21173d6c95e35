"""A packed copy of a data set that `efficient-sed data pack` writes, for training without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import Splits
from efficient_sed.errors import require
from efficient_sed.registry import DATASETS


@DATASETS.register("packed")
@dataclass(frozen=True)
class PackedConfig(DataConfig):
    """A data set as `efficient-sed data pack` wrote it: the same classes, clips, events and parts."""

    root: str = "packed.h5"
    """The file, or the folder of an index and shards."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.channel is None, "data.channel", self.channel, "packed clips have one channel; choose it when packing"
        )

    def load(self) -> Splits:
        """Read the clips and their events; see `DataConfig.load`."""
        from efficient_sed.data.storage.packed_splits import load_packed

        return load_packed(Path(self.root))
