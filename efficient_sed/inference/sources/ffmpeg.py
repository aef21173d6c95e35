"""What ffmpeg can open: cameras by RTSP, radio, sound cards by name, files of any kind."""

from __future__ import annotations

import queue
import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np

from efficient_sed.errors import ConfigError, DataError, printable
from efficient_sed.inference.sources.contract import BLOCK_S, IsEnded, Source, SourceLostError, next_block
from efficient_sed.inference.sources.raw import SAMPLE_TYPES

KEPT_BLOCKS = 50
KEPT_LINES = 5
OUTPUT, SAMPLE_BYTES = "s32le", 4
"""Whole numbers, for which ffmpeg mixes channels to their mean; floating-point ones become louder."""
CHOSEN = {"rtsp": "-rtsp_transport tcp"}
"""Options by scheme where none are typed: RTSP over UDP loses packets without a word."""


def is_url(source: str) -> bool:
    """Whether a source is an address rather than a path."""
    return "://" in source


class FfmpegSource(Source):
    """One input of ffmpeg, in a process of its own that ends with the stream.

    Args:
        source: What follows ffmpeg's `-i`.
        sample_rate: In Hz.
        channel: Counted from 1; None for the mean of all.
        options: What precedes `-i`; default None, chosen by the address.

    Raises:
        ConfigError: If the address is malformed, or ffmpeg is not installed.
    """

    def __init__(self, source: str, sample_rate: int, channel: int | None, options: str | None = None) -> None:
        self.name = _without_password(source) if is_url(source) else source
        self.is_reopened = is_url(source) or not Path(source).is_file()
        self._may_come = is_url(source)  # a camera may be switched on later; else what is typed may be wrong
        if shutil.which("ffmpeg") is None:
            raise ConfigError(f"{self.name}: is read by the program ffmpeg, which is not installed")
        typed = CHOSEN.get(source.partition("://")[0], "") if options is None else options
        try:
            words = shlex.split(typed)
        except ValueError as error:
            raise ConfigError(f"--ffmpeg {typed} is not allowed: options of ffmpeg ({error})") from None
        mixed = ["-ac", "1"] if channel is None else ["-af", f"pan=mono|c0=c{channel - 1}"]
        self._command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", *words, "-i", source, "-vn"]
        self._command += [*mixed, "-ar", str(sample_rate), "-f", OUTPUT, "-"]
        self._source, self._block_bytes = source, round(BLOCK_S * sample_rate) * SAMPLE_BYTES

    def chunks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        """See `Source.chunks`."""
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this program alone
        )
        assert process.stdout is not None
        assert process.stderr is not None
        dtype, scale = SAMPLE_TYPES[OUTPUT]
        blocks: queue.Queue[bytes] = queue.Queue(KEPT_BLOCKS)
        said: deque[bytes] = deque(maxlen=KEPT_LINES)
        threads = [
            threading.Thread(target=self._pump, args=(process.stdout, blocks), daemon=True),
            threading.Thread(target=said.extend, args=(process.stderr,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            while block := next_block(blocks, is_ended):
                self._may_come = True
                whole = block[: len(block) // SAMPLE_BYTES * SAMPLE_BYTES]
                yield np.frombuffer(whole, dtype).astype(np.float32) / np.float32(scale)
            if not is_ended():
                self._end(process.wait(), said, threads[1])
        finally:
            process.kill()
            while threads[0].is_alive():  # it may wait for a place in the queue
                with suppress(queue.Empty):
                    blocks.get(timeout=0.01)
            threads[1].join()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def _pump(self, stdout: IO[bytes], blocks: queue.Queue[bytes]) -> None:
        while block := stdout.read(self._block_bytes):
            blocks.put(block)
        blocks.put(b"")

    def _end(self, status: int, said: deque[bytes], reader: threading.Thread) -> None:
        reader.join()
        last = said[-1].decode(errors="replace").strip() if said else f"ended with status {status}"
        reason = printable(last.replace(self._source, self.name))
        if self.is_reopened and self._may_come:
            raise SourceLostError(reason if said or status else "it ended")
        if status or self.is_reopened:
            raise DataError(f"{self.name}: ffmpeg cannot read it ({reason})")


def _without_password(url: str) -> str:
    """An address as it may be shown.

    Raises:
        ConfigError: If it is malformed.
    """
    shown = url.rpartition("@")[2]
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.netloc or parts.path) and parts.port != 0
    except ValueError as error:
        raise ConfigError(f"…{shown} is no address ({error}), such as rtsp://HOST:PORT/PATH") from None
    if not is_whole or not parts.scheme or (parts.netloc and not parts.hostname):
        raise ConfigError(f"{shown} is no address, such as rtsp://HOST:PORT/PATH")
    return url if parts.password is None else url.replace(f":{parts.password}@", "@", 1)
