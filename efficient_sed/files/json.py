"""JSON from files that anybody may have written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Plain values, in which every number is finite and every text can be written.

    Raises:
        ValueError: For anything else, JSON that is nested too deeply for its parser too; JSONDecodeError with the place where there is one.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=object_pairs_hook
        )
        if "\\u" in (text if isinstance(text, str) else text.decode("latin-1")):
            json.dumps(value, ensure_ascii=False).encode()  # half a character beyond U+FFFF cannot be
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
    if len(text) > 300:  # more than a float could be
        raise ValueError(f"{text[:20]}… is too large a number")
    return int(text)
