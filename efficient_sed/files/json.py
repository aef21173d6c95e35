"""Reading JSON files from any source."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON strictly: every number is finite, and every text can be encoded.

    Args:
        text: The content of a file.
        object_pairs_hook: As for `json.loads`.

    Raises:
        ValueError: If it is not such JSON, or is nested too deeply; a JSONDecodeError where the place is known.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=object_pairs_hook
        )
        if "\\u" in (text if isinstance(text, str) else text.decode("latin-1")):
            json.dumps(value, ensure_ascii=False).encode()  # raises for half of a surrogate pair
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _whole(text: str) -> int:
    if len(text) > 300:  # longer than any float
        raise ValueError(f"{text[:20]}… is too large a number")
    return int(text)
