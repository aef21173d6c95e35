"""Released weights arrive whole or not at all. Everything runs against a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from efficient_sed import __version__
from efficient_sed.errors import CheckpointError
from efficient_sed.models.weights import download as download_module
from efficient_sed.models.weights.download import download

CONTENT = bytes(range(256)) * 1024  # 262,144 bytes: several chunks
OTHER = CONTENT[::-1]
PAGE = b"\n <!DOCTYPE html><title>Sign in to the hotel's network</title>"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`; each request takes the next misbehaviour from `script`, none when that is empty."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.script: list[str] = []
        self.redirect_to = "/w.bin"
        self.requests: list[dict[str, str]] = []
        self.released = threading.Event()  # a slow request waits for it
        self.url = f"http://127.0.0.1:{self.server_port}/w.bin"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is expected."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Quiet."""

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers.items()))
        mode = server.script.pop(0) if server.script else ""
        self.close_connection = True
        if mode == "hang up":
            return
        if mode == "slow":
            server.released.wait(5)
        length = {"Content-Length": str(len(server.content))}
        if mode.isdigit():
            self.reply(int(mode), {"Content-Length": "0"}, b"")
        elif mode == "redirect":
            self.reply(302, {"Location": server.redirect_to, "Content-Length": "0"}, b"")
        elif mode == "page":
            self.reply(200, {"Content-Length": str(len(PAGE))}, PAGE)
        elif mode == "chunked":
            body = f"{len(server.content):x}\r\n".encode() + server.content + b"\r\n0\r\n\r\n"
            self.reply(200, {"Transfer-Encoding": "chunked"}, body)
        elif mode == "chunked break":
            self.reply(200, {"Transfer-Encoding": "chunked"}, b"10000\r\n" + server.content[:0x1000])
        elif mode == "no length":
            self.reply(200, {}, server.content)
        else:
            self.reply(200, length, server.content[:100_000] if mode in ("break", "stall") else server.content)
        if mode == "stall":
            self.wfile.flush()
            server.released.wait(5)


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


def fail(url: str, path: Path, sha256: str | None = None) -> str:
    """The one line of a download that must fail and leave nothing behind."""
    with pytest.raises(CheckpointError) as caught:
        download(url, path, sha256)
    assert not path.parent.exists() or names(path) == []
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("sha256", [None, SHA256])
@pytest.mark.parametrize("mode", ["", "redirect", "chunked", "no length"])
def test_a_file_arrives(server: Server, path: Path, mode: str, sha256: str | None) -> None:
    server.script = [mode]
    download(server.url, path, sha256)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert {request["User-Agent"] for request in server.requests} == {f"efficient-sed/{__version__}"}
    server.content = OTHER
    download(server.url, path, sha256)  # there already: nothing is asked for
    assert path.read_bytes() == CONTENT


def test_a_header_length_that_looks_like_a_page(server: Server, path: Path) -> None:
    server.content = (0x3C20).to_bytes(8, "little") + CONTENT
    download(server.url, path)
    assert path.read_bytes() == server.content


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("404", "404 Client Error: Not Found"),
        ("503", "503 Server Error: Service Unavailable"),
        ("204", "an empty file came"),
        ("page", "a web page came instead of the file"),
        ("hang up", "Remote end closed connection without response"),
        ("slow", "Read timed out"),
        ("stall", "Read timed out"),
        ("break", "100000 bytes read, 162144 more expected"),
        ("chunked break", "Connection broken"),
    ],
)
def test_failures_say_what_to_do_by_hand(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, what: str
) -> None:
    monkeypatch.setattr(download_module, "TIMEOUT_S", 0.3)
    server.script = [mode]
    message = fail(server.url, path)
    assert message.startswith("download failed (")
    assert what in message
    assert message.endswith(
        f"): type the same command again, or put w.bin into {path.parent} by hand (from {server.url})"
    )
    server.released.set()
    download(server.url, path)
    assert path.read_bytes() == CONTENT


def test_another_checksum_is_refused(server: Server, path: Path) -> None:
    server.content = OTHER
    found = hashlib.sha256(OTHER).hexdigest()
    assert f"what came has the checksum {found[:12]}…, not {SHA256[:12]}… of the card" in fail(server.url, path, SHA256)
    server.content = CONTENT
    download(server.url, path, SHA256)
    assert names(path) == ["w.bin"]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1:1/w.bin", "file:///etc/hostname"])
def test_unsafe_redirects_are_not_followed(server: Server, path: Path, target: str) -> None:
    server.script, server.redirect_to = ["redirect"], target
    assert "No connection adapters were found" in fail(server.url, path)


def test_endless_redirects(server: Server, path: Path) -> None:
    server.script = ["redirect"] * 40
    assert "redirects" in fail(server.url, path)


def test_no_server(path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        assert f"no connection to {place}" in fail(f"http://{place}/w.bin", path)


@pytest.mark.parametrize("url", ["ftp://host/w.bin", "file:///etc/passwd", "w.bin", "", "httpx://host"])
def test_other_addresses_are_refused(path: Path, url: str) -> None:
    assert fail(url, path) == f"{url}: not an http or https address"


@pytest.mark.parametrize("url", ["http://", "http://[::1/w.bin", "http://127.0.0.1:port/w.bin"])
def test_malformed_addresses(path: Path, url: str) -> None:
    assert fail(url, path).startswith("download failed (")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up(server: Server, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "w.bin.part").symlink_to("/dev/full")
    assert "cannot be written into" in fail(server.url, path)


def test_unwritable_folders(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    message = fail(server.url, path)
    assert f"{server.url}: cannot be written into {path.parent} (Permission denied); make it writable" in message


def test_processes_fetch_once(server: Server, path: Path) -> None:
    server.script = ["slow"]
    code = f"""
from pathlib import Path
from efficient_sed.models.weights.download import download
print("here", flush=True)
download({server.url!r}, Path({str(path)!r}))
"""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    server.released.wait(0.2)  # the second waits at the lock
    server.released.set()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    assert len(server.requests) == 1


def test_a_log_says_one_line(server: Server, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="efficient_sed"):
        download(server.url, path)
    assert caplog.messages == [f"downloading {server.url} (0.3 MB) to {path.parent}"]


def test_what_a_killed_process_left_is_replaced(server: Server, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "w.bin.part").write_bytes(OTHER * 2)
    download(server.url, path, SHA256)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["w.bin"]
    shutil.rmtree(path.parent)
