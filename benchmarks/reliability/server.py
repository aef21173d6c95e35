"""A local web server that serves one file and misbehaves as requested."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANNERS = ("whole", "drop", "refuse", "too long", "too short", "drip", "error", "page", "no length", "other file")
PIECE = 1 << 14


class BadServer(ThreadingHTTPServer):
    """Serves `content` in the manner that `manner` says; several at a time.

    Args:
        content: The right file.
        seed: Of the moments at which it drops connections.
    """

    daemon_threads = True

    def __init__(self, content: bytes, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.manner, self.random = content, "whole", random.Random(seed)
        self.num_sent = 0
        self.url = f"http://127.0.0.1:{self.server_port}/weights.safetensors"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: BadServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Quiet."""

    def do_GET(self) -> None:
        server, manner = self.server, self.server.manner
        self.close_connection = True
        if manner == "refuse":
            return
        if manner in ("error", "page"):
            self._head(503 if manner == "error" else 200, 8, "text/html")
            self.wfile.write(b"<html/>\n")
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(asked[1]) if asked and int(asked[1]) < len(server.content) else 0
        body = (server.content if manner != "other file" else server.content[::-1])[first:]
        announced = len(body) + {"too long": 1000, "too short": -len(body) // 3}.get(manner, 0)
        self._head(
            206 if first else 200,
            None if manner == "no length" else announced,
            "application/octet-stream",
            first,
            first + announced,
        )
        end = server.random.randrange(len(body)) if manner in ("drop", "no length") else len(body)
        for start in range(0, end, PIECE):
            self.wfile.write(body[start : min(end, start + PIECE)])
            server.num_sent += min(end, start + PIECE) - start
            if manner == "drip":
                time.sleep(0.005)

    def _head(self, status: int, length: int | None, kind: str, first: int = 0, total: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("ETag", '"one"')
        if length is not None:
            self.send_header("Content-Length", str(length))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        self.end_headers()


@contextmanager
def serving(content: bytes, seed: int) -> Iterator[BadServer]:
    """A server in a thread of its own, until the block ends."""
    with BadServer(content, seed) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
