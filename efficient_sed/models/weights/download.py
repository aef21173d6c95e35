"""Fetching released weights: resumable, atomic, one process at a time."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from itertools import chain
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from efficient_sed import __version__
from efficient_sed.errors import CheckpointError
from efficient_sed.files.locks import locked

TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 16

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]+"')  # a weak one, W/"...", does not promise the same bytes
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_WEB_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*<[a-zA-Z!?]"
)  # a safetensors file may well begin with b" <": the length of its header

logger = logging.getLogger(__name__)


def download(url: str, path: Path, sha256: str | None = None) -> None:
    """Fetch a file, unless it is there already.

    Until it is whole, what has arrived is kept in `<path>.part` and the next call continues from there.

    Args:
        url: An http or https address.
        path: Where the file goes; the folder is created.
        sha256: The checksum of the right file; none while unknown. What has another one is removed.

    Raises:
        CheckpointError: If it cannot be fetched or written, or is not the right file; the message is one line and says what to do.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise CheckpointError(f"{url}: not an http or https address")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(_beside(path, ".lock")):
            if not path.exists():  # another process may have fetched it while this one waited
                _fetch(url, path, sha256)
    except OSError as error:  # only the disk's: the network's are CheckpointErrors by now
        raise CheckpointError(
            f"{url}: cannot be written into {path.parent} ({_reason(error)}); make it writable or free some space and type the same command again"
        ) from error


def _fetch(url: str, path: Path, sha256: str | None) -> None:
    part, etag_file = _beside(path, ".part"), _beside(path, ".part.etag")
    by_hand = f"put {path.name} into {path.parent} by hand (from {url})"
    num_bytes = part.stat().st_size if part.exists() else 0
    etag = _strong_etag(etag_file.read_text(encoding="latin-1")) if etag_file.exists() else None
    try:
        response, start, total = _request(url, num_bytes, etag)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an address that urllib cannot read
        if isinstance(error, HTTPError):
            error.close()
        raise CheckpointError(f"download failed ({_reason(error)}): {by_hand}") from error
    with response:
        etag = _strong_etag(response.headers.get("ETag", ""))
        chunks = _read(response, url, start, total, "continues where it stopped" if etag else "starts again")
        first = next(chunks, b"")
        if response.headers.get_content_type() == "text/html" or (start == 0 and _WEB_PAGE.match(first)):
            raise CheckpointError(f"download failed (a web page came instead of the file): {by_hand}")
        kind, encoding = response.headers.get_content_type(), response.headers.get("Content-Encoding", "identity")
        if kind == "application/json" or encoding != "identity":
            raise CheckpointError(
                f"download failed ({kind} in the encoding {encoding} came instead of the file): {by_hand}"
            )
        free = shutil.disk_usage(path.parent).free
        if total is not None and total - num_bytes > free:
            raise CheckpointError(
                f"{url}: {_mb(total - num_bytes)} MB are missing and {path.parent} has {_mb(free)} MB free; free some space and type the same command again"
            )
        if start == 0:
            etag_file.unlink(missing_ok=True)  # in this order old bytes never carry a new ETag
            part.write_bytes(b"")
            if etag:
                etag_file.write_text(etag, encoding="latin-1")
        with part.open("ab") as file, _progress(url, path, start, total) as advance:
            for chunk in chain([first], chunks):
                file.write(chunk)
                advance(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if sha256 is not None and (found := checksum(part)) != sha256:
        part.unlink()
        etag_file.unlink(missing_ok=True)
        raise CheckpointError(
            f"{url}: what came has the checksum {found[:12]}…, not {sha256[:12]}… of the card, and was removed; type the same command again, or {by_hand}"
        )
    part.replace(path)
    etag_file.unlink(missing_ok=True)


def _request(url: str, num_bytes: int, etag: str | None) -> tuple[HTTPResponse, int, int | None]:
    """The answer, where in the file it begins, and the file's length. The rest is asked for if the server still has the same file, else all of it."""
    if num_bytes and etag:
        try:
            response = _open(url, {"Range": f"bytes={num_bytes}-", "If-Range": etag})
        except HTTPError as error:
            if error.code != 416:
                raise
            error.close()
        else:
            if response.status == 200:
                return response, 0, response.length
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            # a server that does not know If-Range sends the rest of whatever it has now
            if response.status == 206 and response.headers.get("ETag") == etag and found and int(found[1]) == num_bytes:
                return response, num_bytes, int(found[2])
            response.close()
    response = _open(url, {})
    if response.status != 200:
        response.close()
        raise HTTPException(f"HTTP {response.status} {response.reason}")
    return response, 0, response.length


class _SafeRedirects(HTTPRedirectHandler):
    """Follows to https or to the same scheme: neither to ftp nor from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if newurl.partition(":")[0] not in ("https", req.type):
            raise HTTPError(newurl, code, f"a redirect to {newurl} is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, headers: dict[str, str]) -> HTTPResponse:
    request = Request(
        url, headers={"User-Agent": f"efficient-sed/{__version__}", "Accept-Encoding": "identity", **headers}
    )
    response: HTTPResponse = build_opener(_SafeRedirects).open(request, timeout=TIMEOUT_S)
    return response


def _read(response: HTTPResponse, url: str, start: int, total: int | None, next_call: str) -> Iterator[bytes]:
    """The body in chunks; a body that ends too early is a CheckpointError."""
    received, cause = start, None
    try:
        while chunk := response.read(CHUNK_BYTES):
            received += len(chunk)
            yield chunk
    except (OSError, HTTPException) as error:
        cause = error
    if cause or not received or total not in (None, received):
        how_far = _mb(received) + (f" of {_mb(total)}" if total is not None else "")
        reason = "" if cause is None or isinstance(cause, IncompleteRead) else f" ({_reason(cause)})"
        raise CheckpointError(
            f"{url}: the connection broke after {how_far} MB{reason}; typing the same command again {next_call}"
        ) from cause


@contextmanager
def _progress(url: str, path: Path, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar for people, one line for logs; yields what is to be called with the number of bytes that arrived."""
    if not sys.stderr.isatty():
        logger.info("downloading %s (%s MB) to %s", url, "?" if total is None else _mb(total), path.parent)
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(path.name, completed=start, total=total)
        yield lambda num_bytes: progress.advance(task, num_bytes)


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _mb(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f}"


def _strong_etag(text: str) -> str | None:
    return text if _STRONG_ETAG.fullmatch(text) else None


def _reason(error: object) -> str:
    """What happened, on one line."""
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT_S:g} s"
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return _reason(error.reason)
    text = (
        f"HTTP {error.code} {error.reason}"
        if isinstance(error, HTTPError)
        else getattr(error, "strerror", None) or str(error) or type(error).__name__
    )
    return " ".join(text.split())
