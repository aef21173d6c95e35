"""Points of a grid for tests that read no data."""

from __future__ import annotations

from dataclasses import replace

from efficient_sed.sweep.grid import GridPoint, expand_grid


def points_without_data(*overrides: str) -> list[GridPoint]:
    """The points of a grid as they are once their data have been read."""
    return [replace(point, manifest_hash="0" * 16) for point in expand_grid(overrides)]
