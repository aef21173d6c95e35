"""What the model of a run costs, known before it is trained."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from efficient_sed.benchmark.known_backbone import KnownBackbone, count_backbone, count_head
from efficient_sed.config.model import BackboneConfig
from efficient_sed.config.run import RunConfig


class Cost(NamedTuple):
    """Of a model."""

    macs: int
    """Of a clip of 10 s."""
    params: int

    def is_within(self, max_macs: int | None, max_params: int | None) -> bool:
        """Whether it is at most that; None for no limit."""
        limits = ((self.macs, max_macs), (self.params, max_params))
        return all(limit is None or value <= limit for value, limit in limits)

    def __str__(self) -> str:
        return f"{self.macs:,} MACs and {self.params:,} parameters"


@lru_cache(maxsize=4096)
def count_cost(config: RunConfig, num_classes: int) -> Cost:
    """Count by shapes, without drawing weights; each backbone once.

    Args:
        config: Of the run.
        num_classes: Of its data.
    """
    known = _known_backbone(config.backbone)
    params, macs = count_head(known, config.backbone, config.seq, num_classes, config.classifier.pooling)
    return Cost(known.macs + macs, known.num_params + params)


@cache
def _known_backbone(config: BackboneConfig) -> KnownBackbone:
    return count_backbone(config)
