"""What can be loaded and what can be composed."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from efficient_sed.errors import CheckpointError
from efficient_sed.models._cards import find_weights, list_cards
from efficient_sed.models._names import GRAMMAR
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS


def list_models() -> dict[str, Any]:
    """Released weights with their facts, and the parts of the name grammar."""
    released = []
    for card in list_cards().values():
        try:
            path: str | None = str(find_weights(card))
        except CheckpointError:
            path = None
        released.append({"name": card.name, "architecture": card.architecture, "task": card.task, "summary": card.summary, "metrics": list(card.metrics), "path": path})
    return {"released": released, "grammar": GRAMMAR, "backbones": BACKBONES.names(), "heads": SEQUENCE_HEADS.names()}


def models_table() -> Table:
    """The same for a terminal."""
    listing = list_models()
    table = Table(title="Released weights", title_justify="left")
    for column in ("name", "task", "here", "scores", "what it is"):
        table.add_column(column, no_wrap=column in ("name", "task", "here"))
    for item in listing["released"]:
        table.add_row(item["name"], item["task"], "yes" if item["path"] else "no", "; ".join(item["metrics"]), item["summary"])
    table.caption = f"{listing['grammar']}. Backbones: {', '.join(listing['backbones'])}. Heads: {', '.join(listing['heads'])}."
    table.caption_justify = "left"
    return table
