"""How energy was measured, below tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from efficient_sed.benchmark.clock import ENERGY


def energy_notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """How energy was measured, or why it was not."""
    costs = [record["complexity"] for record in records]
    notes = {each["energy_method"] or f"not measured ({each['speed_missing'].get(ENERGY, '')})" for each in costs}
    return [f"energy: {note}" for note in sorted(notes)]
