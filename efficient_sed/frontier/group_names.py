"""Names in words of sets of results whose scores compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

IDENTITY = ("data", "manifest_hash", "published by")


def name_conditions(sets: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> list[str]:
    """A name for each set: its data, who published it, and what differs from other sets on the same data.

    Args:
        sets: Conditions as `score_conditions` gives them; each once.
        words: Names of data sets in words, by manifest hash.
    """
    names = []
    for own in sets:
        kin = [other for other in sets if all(other.get(key) == own.get(key) for key in IDENTITY[:2])]
        data = words.get(own.get("manifest_hash", ""), own["data"])
        publisher = [f"published: {own['published by']}"] if "published by" in own else []
        differing = [
            f"{key} {value}"
            for key, value in own.items()
            if key not in IDENTITY and any(other.get(key) != value for other in kin)
        ]
        names.append(", ".join([data, *publisher, *differing]))
    return names
