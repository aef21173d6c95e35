"""Self-contained HTML files: style, data and script in one, with a content security policy that forbids all requests.

A page is a folder of `page.html`, `page.css` and scripts; what pages share lies in `files/page`. Python computes all
values; scripts only show them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import write_atomically

SHARED = Path(__file__).parent / "page"
SHARED_SCRIPTS = ("elements.js", "sorting.js")


def write_html(folder: Path, scripts: Sequence[str], data: Any, output: Path, shared: Sequence[Path] = ()) -> None:
    """Write a page with its data as one file; the browser runs only scripts whose hash the page states.

    Args:
        folder: Of the page.
        scripts: Names of its scripts, in order.
        data: Plain values for the scripts.
        output: The HTML file.
        shared: Styles, scripts and parts of HTML that it has in common with some other pages, which go before its own.

    Raises:
        DataError: If the file cannot be written.
    """
    parts = [*shared, *(folder / name for name in ("page.css", *scripts))]
    script, style = join_parts(parts, ".js"), join_parts(parts, ".css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = fill_page(folder, {"digest": digest, "style": style, "data": to_script_json(data), "script": script}, shared)
    try:
        write_atomically(output, html.encode())
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror}); give a writable file as output") from error


def join_parts(parts: Sequence[Path], ending: str) -> str:
    """All styles or scripts of a page, by their ending: those of every page, then those among its parts."""
    names = ("page.css", *SHARED_SCRIPTS)
    paths = [path for path in (*(SHARED / name for name in names), *parts) if path.suffix == ending]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def fill_page(folder: Path, values: Mapping[str, str], shared: Sequence[Path] = ()) -> str:
    """The HTML of a page, with values and shared parts of HTML in place of `<!--name-->`."""
    html = (folder / "page.html").read_text(encoding="utf-8")
    inserted = {path.stem: path.read_text(encoding="utf-8") for path in shared if path.suffix == ".html"}
    # the data contain no placeholder, since "<" is escaped
    for name, part in {**inserted, **values}.items():
        html = html.replace(f"<!--{name}-->", part)
    return html


def to_script_json(data: Any) -> str:
    """Write JSON for a script element: no character can end the element or a line of the script."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII, so that U+2028 is escaped, too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
