"""Fetching released weights: a file appears when it is whole and right."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from efficient_sed import __version__
from efficient_sed.errors import CheckpointError
from efficient_sed.files.locks import locked
from efficient_sed.machine.progress import progress

TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 16
# a safetensors file may well begin with b" <": the length of its header
_WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<[a-zA-Z!?]")

logger = logging.getLogger(__name__)


def download(url: str, path: Path, sha256: str | None = None) -> None:
    """Fetch a file, unless it is there already; of several processes one fetches it and the others wait.

    Args:
        url: An http or https address.
        path: Where the file goes; the folder is created.
        sha256: Checksum of the right file, default None: unknown.

    Raises:
        CheckpointError: If it cannot be fetched or written, or is not the right file; nothing is left behind then.
    """
    import requests

    if not url.lower().startswith(("http://", "https://")):
        raise CheckpointError(f"{url}: not an http or https address")
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.lock")):
            if path.exists():
                return
            try:
                _fetch(url, part)
                _check(part, sha256)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    except (requests.RequestException, ValueError) as error:  # a RequestException is an OSError too
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, requests.ConnectionError) and "Max retries" in reason:  # a line of nested errors
            reason = f"no connection to {urlsplit(url).netloc}"
        raise CheckpointError(
            f"download failed ({reason}): type the same command again, "
            f"or put {path.name} into {path.parent} by hand (from {url})"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{url}: cannot be written into {path.parent} ({error.strerror or error}); "
            "make it writable or free some space and type the same command again"
        ) from error


def _fetch(url: str, part: Path) -> None:
    """Write what the server sends; urllib3, below requests, raises if that is cut short."""
    import requests

    headers = {"User-Agent": f"efficient-sed/{__version__}", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response, part.open("wb") as file:
        response.raise_for_status()
        num_bytes = int(response.headers.get("Content-Length", 0))
        logger.info("downloading %s (%.1f MB) to %s", url, num_bytes / 1e6, part.parent)
        with progress("MB", num_bytes / 1e6, is_drawn=sys.stderr.isatty()) as advance:
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                advance(len(chunk) / 1e6)


def _check(part: Path, sha256: str | None) -> None:
    """Raise a ValueError if the file is empty, a web page such as a login form, or not the one of the checksum."""
    with part.open("rb") as file:
        start = file.read(64)
    if not start:
        raise ValueError("an empty file came")
    if _WEB_PAGE.match(start):
        raise ValueError("a web page came instead of the file")
    if sha256 is not None and (found := checksum(part)) != sha256:
        raise ValueError(f"what came has the checksum {found[:12]}…, not {sha256[:12]}… of the card")


def checksum(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
