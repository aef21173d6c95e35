"""Messages by which Home Assistant finds the classes of a model: https://www.home-assistant.io/integrations/mqtt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from efficient_sed.inference.live_events import file_label, unique_names

PREFIX = "homeassistant"
"""Of topics, as Home Assistant has it by default."""


def discovery_pattern(topic: str) -> str:
    """Pattern of the topics of all classes that were ever announced for a topic."""
    return f"{PREFIX}/binary_sensor/{_slug(topic)}/+/config"


def discovery(topic: str, slugs: Mapping[str, str], model: str, version: str) -> dict[str, str]:
    """Messages by their topics: a binary sensor for each class, and one event entity for all.

    Args:
        topic: The one that all others of this program lie below.
        slugs: By label, what its topics lie below.
        model: Name of the model.
        version: Of the package.
    """
    node = _slug(topic)
    shared = {
        "availability_topic": f"{topic}/status",
        "device": {"identifiers": [node], "name": topic, "model": model, "sw_version": version},
        "origin": {"name": "efficient-sed", "sw_version": version},
    }
    messages = {
        f"{PREFIX}/binary_sensor/{node}/{slug}/config": {
            "name": label,
            "unique_id": f"{node}_{slug}",
            "device_class": "sound",
            "state_topic": f"{topic}/{slug}/state",
            "json_attributes_topic": f"{topic}/{slug}/attributes",
            **shared,
        }
        for label, slug in slugs.items()
    }
    events: dict[str, Any] = {
        "name": "Sound event",
        "unique_id": f"{node}_event",
        "state_topic": f"{topic}/event",
        "event_types": list(slugs),
        **shared,
    }
    messages[f"{PREFIX}/event/{node}/event/config"] = events
    return {place: json.dumps(message, ensure_ascii=False) for place, message in messages.items()}


def create_slugs(labels: Iterable[str]) -> dict[str, str]:
    """By label a name in ASCII for topics, unlike all others."""
    return unique_names(labels, _slug)


def _slug(text: str) -> str:
    return file_label(text).encode("ascii", "replace").decode().replace("?", "_").lower()
