"""Cards of released weights: one JSON file each in `pretrained/`."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from efficient_sed._resources import resource_folder
from efficient_sed.config._strict import from_dict
from efficient_sed.errors import CheckpointError

DEFAULT_DETECTOR = "fmn04+tf-128_synthetic"


@dataclass(frozen=True)
class Card:
    """What is known of released weights."""

    name: str
    architecture: str
    file: str
    task: str
    summary: str
    """One sentence: what it is and what it is not."""
    sha256: str | None = None
    """Checksum of the file; none while unknown."""
    url: str | None = None
    metrics: tuple[str, ...] = ()
    """Scores with their conditions."""
    recipe: tuple[str, ...] = field(default=())
    """Command, seed, data hash, time and machine of the training."""


@cache
def list_cards() -> dict[str, Card]:
    """All cards by name."""
    cards = {}
    for path in sorted(resource_folder("pretrained").glob("*.json")):
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cards[values["name"]] = from_dict(Card, values, path.name)
    return cards


def find_weights(card: Card) -> Path:
    """The card's file, in EFFICIENT_SED_HOME or shipped in `pretrained/weights`.

    Raises:
        CheckpointError: If it is in neither place, or its checksum is not the card's.
    """
    folders = [resource_folder("pretrained") / "weights"]
    if home := os.environ.get("EFFICIENT_SED_HOME"):
        folders.insert(0, Path(home))
    for folder in folders:
        path = folder / card.file
        if path.is_file():
            if card.sha256 is not None and (found := hashlib.sha256(path.read_bytes()).hexdigest()) != card.sha256:
                raise CheckpointError(f"{path}: checksum {found[:12]}… is not the card's {card.sha256[:12]}…; delete the file and fetch it again")
            return path
    raise CheckpointError(f"weights {card.name!r} are not here: put {card.file} into {folders[0]}" + (f" (from {card.url})" if card.url else ""))
