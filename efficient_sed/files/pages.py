"""HTML files that need nothing but themselves: style, data and script in one, with a content security policy that lets nothing be fetched.

A page is a folder of `page.html`, `page.css` and scripts; what pages share lies in `efficient_sed/page`. Values come as data; scripts only show them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import write_atomically

SHARED = Path(__file__).parent / "page"
SHARED_SCRIPTS = ("elements.js", "sorting.js")


def write_html(folder: Path, scripts: Sequence[str], data: Any, output: Path) -> None:
    """Write the page of a folder with its data as one file; no script runs in it but ours, by its hash.

    Raises:
        DataError: If the file cannot be written.
    """
    script = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [*(SHARED / name for name in SHARED_SCRIPTS), *(folder / name for name in scripts)]
    )
    style = "".join((place / "page.css").read_text(encoding="utf-8") for place in (SHARED, folder))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = (folder / "page.html").read_text(encoding="utf-8")
    for name, part in {
        "digest": digest,
        "style": style,
        "data": to_script_json(data),
        "script": script,
    }.items():  # data hold no mark: "<" is escaped there
        html = html.replace(f"<!--{name}-->", part)
    try:
        write_atomically(output, html.encode())
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror}); give a writable file as output") from error


def to_script_json(data: Any) -> str:
    """JSON that can stand in a script element: no character of it can end the element or a line of it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII, so that U+2028 is escaped, too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
