"""Released weights arrive whole or not at all, over a network that does everything wrong. Everything runs against a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from efficient_sed import __version__
from efficient_sed.errors import CheckpointError
from efficient_sed.models.weights import download as download_module
from efficient_sed.models.weights.download import download

CONTENT = bytes(range(256)) * 1024  # 262,144 bytes: several chunks
BREAK_BYTES = 100_000
OTHER = CONTENT[::-1]
PAGE = b"\n <!DOCTYPE html><title>Sign in to the hotel's network</title>"


class Server(ThreadingHTTPServer):
    """Serves `content`; each request takes the next misbehaviour from `script`, none when that is empty."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"one"'
        self.script: list[str] = []
        self.redirect_to = "/w.bin"
        self.requests: list[dict[str, str]] = []
        self.released = threading.Event()  # a slow request waits for it
        self.url = f"http://127.0.0.1:{self.server_port}/w.bin"

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.requests]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Quiet."""

    def reply(self, status: int, headers: dict[str, str | None], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers.items()))
        mode = server.script.pop(0) if server.script else ""
        self.close_connection = True
        if mode == "hang up":
            return None
        if mode == "slow":
            server.released.wait(5)
        if mode.isdigit():
            return self.reply(int(mode), {"Content-Length": "0"}, b"")
        if mode == "redirect":
            return self.reply(302, {"Location": server.redirect_to, "Content-Length": "0"}, b"")
        if mode in ("html", "untyped html"):
            body, content_type = (b"Sign in", "text/html; charset=utf-8") if mode == "html" else (PAGE, None)
            return self.reply(200, {"Content-Type": content_type, "Content-Length": str(len(body))}, body)
        if mode in ("chunked", "chunked break"):
            body = f"{BREAK_BYTES:x}\r\n".encode() + server.content[:BREAK_BYTES] + b"\r\n"
            if mode == "chunked":
                body += (
                    f"{len(server.content) - BREAK_BYTES:x}\r\n".encode()
                    + server.content[BREAK_BYTES:]
                    + b"\r\n0\r\n\r\n"
                )
            return self.reply(200, {"Transfer-Encoding": "chunked", "ETag": server.etag}, body)
        start, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if (
            asked
            and mode != "ignore Range"
            and (mode == "ignore If-Range" or self.headers.get("If-Range") in (None, server.etag))
        ):
            start = int(asked[1])
            if start >= len(server.content):
                return self.reply(416, {"Content-Range": f"bytes */{len(server.content)}", "Content-Length": "0"}, b"")
        body = server.content[start:]
        headers = {
            "ETag": server.etag,
            "Content-Length": str(len(body) + 7 * (mode == "wrong length")),
            "Content-Type": "application/octet-stream",
        }
        if start:
            first = start + 1 if mode == "wrong start" else start
            headers["Content-Range"] = f"bytes {first}-{len(server.content) - 1}/{len(server.content)}"
        if mode == "no length":
            del headers["Content-Length"]
        self.reply(206 if start else 200, headers, body[:BREAK_BYTES] if mode in ("break", "stall") else body)
        if mode == "stall":
            self.wfile.flush()
            server.released.wait(5)
        return None


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "w.bin"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def fail(url: str, path: Path) -> str:
    """The one line of a download that must fail, without the folder's random name."""
    with pytest.raises(CheckpointError) as caught:
        download(url, path)
    assert not path.exists()
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path.parent), "FOLDER").replace(url, "URL")


def interrupt(server: Server, path: Path) -> None:
    """Leave the first part of the file behind, as a broken connection does."""
    server.script = ["break"]
    fail(server.url, path)
    server.requests.clear()


def test_a_file_arrives(server: Server, path: Path) -> None:
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert server.requests[0]["User-Agent"] == f"efficient-sed/{__version__}"
    assert server.ranges() == [None]
    download(server.url, path)
    assert len(server.requests) == 1  # it is there


@pytest.mark.parametrize("mode", ["chunked", "no length", "redirect"])
def test_other_good_answers(server: Server, path: Path, mode: str) -> None:
    server.script = [mode]
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]


def test_a_header_length_that_looks_like_a_page(server: Server, path: Path) -> None:
    server.content = (0x3C20).to_bytes(8, "little") + CONTENT  # b" <\0\0\0\0\0\0": a safetensors header of 15,392 bytes
    download(server.url, path)
    assert path.read_bytes() == server.content


@pytest.mark.parametrize(
    ("mode", "progress", "arrived"),
    [
        ("break", "0.1 of 0.3 MB", BREAK_BYTES),
        ("chunked break", "0.1 MB", 1 << 16),
        ("stall", "0.1 of 0.3 MB (no answer for 0.1 s)", 1 << 16),
    ],
)
def test_a_broken_connection_is_continued(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, progress: str, arrived: int
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.1)
    server.script = [mode]
    assert (
        fail(server.url, path)
        == f"URL: the connection broke after {progress}; typing the same command again continues where it stopped"
    )
    assert names(path) == ["w.bin.part", "w.bin.part.etag"]
    assert (path.parent / "w.bin.part").read_bytes() == CONTENT[:arrived]
    server.script = ["redirect", "break"]  # the range survives a redirect, and a second break is no worse
    fail(server.url, path)
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert server.ranges() == [None, f"bytes={arrived}-", f"bytes={arrived}-", f"bytes={arrived + BREAK_BYTES}-"]
    assert server.requests[-1]["If-Range"] == '"one"'


@pytest.mark.parametrize(
    ("script", "etag", "num_requests"),
    [
        ([], '"two"', 1),  # If-Range: the server sends all of the new file
        (["ignore If-Range"], '"two"', 2),  # it sends the rest of the new file, which is refused
        (["ignore If-Range"], None, 2),
        (["ignore Range"], '"one"', 1),
        (["wrong start"], '"one"', 2),
        (["416"], '"one"', 2),
    ],
)
def test_starts_again_when_the_rest_does_not_fit(
    server: Server, path: Path, script: list[str], etag: str | None, num_requests: int
) -> None:
    interrupt(server, path)
    server.script, server.etag, server.content = script, etag, OTHER
    download(server.url, path)
    assert path.read_bytes() == OTHER
    assert names(path) == ["w.bin"]
    assert server.ranges() == [f"bytes={BREAK_BYTES}-", None][:num_requests]


def test_starts_again_only_once(server: Server, path: Path) -> None:
    interrupt(server, path)
    server.script = ["416", "416"]
    assert fail(server.url, path).startswith("download failed (HTTP 416 ")
    assert len(server.requests) == 2


def test_a_restart_forgets_an_etag_that_has_no_successor(server: Server, path: Path) -> None:
    interrupt(server, path)
    server.script, server.etag, server.content = ["break"], None, OTHER
    fail(server.url, path)
    assert names(path) == ["w.bin.part"]


def test_a_restart_replaces_the_etag(server: Server, path: Path) -> None:
    interrupt(server, path)
    server.script, server.etag, server.content = ["break"], '"two"', OTHER
    fail(server.url, path)
    assert (path.parent / "w.bin.part.etag").read_text() == '"two"'
    download(server.url, path)
    assert path.read_bytes() == OTHER
    assert server.ranges()[-1] == f"bytes={BREAK_BYTES}-"


@pytest.mark.parametrize("etag", [None, 'W/"weak"', '"in\rjected"'])
def test_starts_again_without_a_strong_etag(server: Server, path: Path, etag: str | None) -> None:
    server.etag = etag if etag is None or "\r" not in etag else None
    server.script = ["break"]
    assert fail(server.url, path).endswith("typing the same command again starts again")
    assert names(path) == ["w.bin.part"]
    if etag:
        (path.parent / "w.bin.part.etag").write_text(etag)
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert server.ranges() == [None, None]


def test_a_wrong_length_is_never_a_file(server: Server, path: Path) -> None:
    server.script = ["wrong length"]
    assert "broke after" in fail(server.url, path)
    download(server.url, path)  # nothing is left to ask for: 416, and all of it again
    assert path.read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={len(CONTENT)}-", None]


@pytest.mark.parametrize("mode", ["", "no length"])
def test_nothing_is_not_a_file(server: Server, path: Path, mode: str) -> None:
    server.script, server.content = [mode], b""
    assert "broke after 0.0" in fail(server.url, path)


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("html", "a web page came instead of the file"),
        ("untyped html", "a web page came instead of the file"),
        ("404", "HTTP 404 Not Found"),
        ("503", "HTTP 503 Service Unavailable"),
        ("204", "HTTP 204 No Content"),
        ("416", "HTTP 416 Requested Range Not Satisfiable"),
        ("hang up", "Remote end closed connection without response"),
        ("slow", "no answer for 0.1 s"),
    ],
)
def test_failures_say_what_to_do_by_hand(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, what: str
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.1)
    server.script = [mode]
    assert fail(server.url, path) == f"download failed ({what}): put w.bin into FOLDER by hand (from URL)"
    assert names(path) == []


def test_a_web_page_does_not_cost_what_has_arrived(server: Server, path: Path) -> None:
    interrupt(server, path)
    server.script = ["html"]
    assert "web page" in fail(server.url, path)
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.ranges() == [f"bytes={BREAK_BYTES}-"] * 2


@pytest.mark.parametrize("target", ["ftp://127.0.0.1:1/w.bin", "file:///etc/hostname"])
def test_unsafe_redirects_are_not_followed(server: Server, path: Path, target: str) -> None:
    server.script, server.redirect_to = ["redirect"], target
    message = fail(server.url, path)
    assert message.startswith("download failed (HTTP 302 ")
    assert target in message


def test_endless_redirects(server: Server, path: Path) -> None:
    server.script = ["redirect"] * 20
    assert fail(server.url, path).startswith("download failed (HTTP 302 The HTTP server returned a redirect error")


def test_encryption_is_not_dropped() -> None:
    request = Request("https://localhost/w.bin")
    with pytest.raises(HTTPError, match="not followed") as caught:
        download_module._SafeRedirects().redirect_request(
            request, io.BytesIO(), 302, "Found", None, "http://localhost/w.bin"
        )
    caught.value.close()


def test_no_server(path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        message = fail(f"http://127.0.0.1:{unused.getsockname()[1]}/w.bin", path)
    assert message == "download failed (Connection refused): put w.bin into FOLDER by hand (from URL)"
    assert names(path) == []


def test_no_network(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    assert (
        fail("https://weights.invalid/w.bin", path)
        == "download failed (Name or service not known): put w.bin into FOLDER by hand (from URL)"
    )


@pytest.mark.parametrize("url", ["ftp://host/w.bin", "file:///etc/passwd", "w.bin", "", "httpx://host"])
def test_other_addresses_are_refused(path: Path, url: str) -> None:
    with pytest.raises(CheckpointError, match="not an http or https address"):
        download(url, path)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "url", ["http://", "http://[", "http://host:port/w.bin", "http://127.0.0.1:1/ä", "http://127.0.0.1:1/a b"]
)
def test_malformed_addresses(path: Path, url: str) -> None:
    assert fail(url, path).startswith("download failed (")


def test_too_little_space_is_seen_before(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(server, path)
    needed = len(CONTENT) - BREAK_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    message = "URL: 0.2 MB are missing and FOLDER has 0.2 MB free; free some space and type the same command again"
    assert fail(server.url, path) == message
    assert (path.parent / "w.bin.part").stat().st_size == BREAK_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    download(server.url, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_fills_up(server: Server, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "w.bin.part").symlink_to("/dev/full")
    assert fail(server.url, path) == (
        "URL: cannot be written into FOLDER (No space left on device); make it writable or free some space and type the same command again"
    )


def test_unwritable_folders(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.touch()
    assert fail(server.url, path).startswith("URL: cannot be written into FOLDER (")
    path.parent.unlink()

    def refuse(self: Path, _: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert "(Permission denied)" in fail(server.url, path)
    assert names(path) == []


def test_threads_fetch_once(server: Server, path: Path) -> None:
    server.script = ["slow"]
    threads = [threading.Thread(target=download, args=(server.url, path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    threads[0].join(0.2)  # the others wait at the lock
    server.released.set()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert len(server.requests) == 1


def test_processes_fetch_once(server: Server, path: Path) -> None:
    server.script = ["slow"]
    code = f"""
from pathlib import Path
from efficient_sed.models.weights.download import download
print("here", flush=True)
download({server.url!r}, Path({str(path)!r}))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    server.released.wait(0.2)  # the second waits at the lock
    server.released.set()
    for process in processes:
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(("mode", "size"), [("", "0.3"), ("chunked", "?")])
def test_a_log_says_one_line(
    server: Server,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    size: str,
) -> None:
    server.script = [mode]
    with caplog.at_level(logging.INFO, "efficient_sed"):
        download(server.url, path)
    assert caplog.messages == [f"downloading {server.url} ({size} MB) to {path.parent}"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar(
    server: Server,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with caplog.at_level(logging.INFO, "efficient_sed"):
        download(server.url, path.with_name("w[bold].bin"))
    assert "w[bold].bin" in terminal.getvalue()
    assert "262.1/262.1 kB" in terminal.getvalue()
    assert caplog.messages == []
    assert capsys.readouterr().out == ""


def test_what_has_another_checksum_is_removed_and_fetched_again(server: Server, path: Path) -> None:
    right = hashlib.sha256(CONTENT).hexdigest()
    server.content = OTHER
    with pytest.raises(
        CheckpointError,
        match=rf"what came has the checksum [0-9a-f]{{12}}…, not {right[:12]}… of the card, and was removed; type the same command again, or put w\.bin",
    ):
        download(server.url, path, right)
    assert names(path) == []
    server.content = CONTENT
    download(server.url, path, right)
    assert path.read_bytes() == CONTENT
