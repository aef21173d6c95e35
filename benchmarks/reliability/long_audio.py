"""Memory over a day of sound: a long file through `detect`, and as much sound in chunks through a stream.

python benchmarks/reliability/long_audio.py [--hours 24] [--model NAME] [--hop SECONDS] [--seed S] [--folder DIR]

One minute of synthetic scenes repeats at changing loudness; the file is FLAC, about 70 MB an hour. Each way has its own
process on one thread: the file goes through the function behind `detect`, which keeps the events; the stream through
the events of `listen`, which keeps none. Resident memory is read 96 times at equal steps of sound, and a line is fitted
behind the first eighth, in which buffers fill. Exit status 1 if the line rises by more than 16 MiB in all, not counting
kept events; a leak of one window of sound each time would be 6 GiB in a day.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.sets.synthetic import Scene, synthesise_scene
from efficient_sed.inference.detect import open_detector
from efficient_sed.inference.detect_one import Task, detect_one
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.detector import Detector
from efficient_sed.inference.recordings import Recording
from efficient_sed.inference.sources.contract import BLOCK_S
from efficient_sed.inference.sources.raw import read_samples
from efficient_sed.inference.stream import Stream
from efficient_sed.models.weights.cards import SYNTHETIC_DETECTOR

SAMPLES_TAKEN = 96
SHOWN = (1 / 24, 1 / 4, 1 / 2, 1)
ALLOWED_MIB = 16.0
PAGE_MIB = 4096 / 2**20
EVENT_MIB = 184 / 2**20
"""An Event with its two times and score, and its place in a list."""


class Course(NamedTuple):
    """Memory over the hours of sound so far."""

    hours: np.ndarray
    mib: np.ndarray
    """Resident memory of the process, shape (samples,)."""
    num_events: int
    num_kept: int
    """Of these, how many are in memory at the end."""
    seconds: float

    def slope(self) -> float:
        """MiB an hour of sound, without the events that are kept."""
        settled = self.hours >= self.hours[-1] / 8
        kept = EVENT_MIB * self.num_kept / self.hours[-1]
        return float(np.polyfit(self.hours[settled], self.mib[settled], 1)[0] - kept)

    def is_flat(self) -> bool:
        """Whether memory grows by no more than is allowed."""
        return bool(self.slope() * self.hours[-1] <= ALLOWED_MIB)

    def row(self, name: str) -> str:
        """The row of the table."""
        shown = " | ".join(f"{np.interp(share * self.hours[-1], self.hours, self.mib):.1f}" for share in SHOWN)
        verdict = "" if self.is_flat() else "grows"
        return f"| {name} | {shown} | {self.slope():+.3f} | {self.num_events:,} | {self.seconds:.0f} | {verdict} |"


class Watch:
    """Reads the resident memory each time that another share of the sound is done."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self.taken: list[tuple[float, float]] = []
        self.begun = time.perf_counter()

    def __call__(self, position_s: float) -> None:
        """Read the memory if another share of the sound is done."""
        if position_s >= self.total_s * (len(self.taken) + 1) / SAMPLES_TAKEN:
            self.taken.append(
                (position_s / 3600, PAGE_MIB * int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]))
            )

    def course(self, num_events: int, num_kept: int) -> Course:
        """All readings so far."""
        hours, mib = np.array(self.taken).T
        return Course(hours, mib, num_events, num_kept, time.perf_counter() - self.begun)


def make_minute(seed: int) -> np.ndarray:
    """Six synthetic scenes one after another, shape (samples,)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([synthesise_scene(rng, Scene(10.0, -3.0, 20.0, 0.0))[0] for _ in range(6)])


def minutes(seed: int, total_s: float) -> Iterator[np.ndarray]:
    """16-bit sound (samples,) minute by minute, each at a loudness of its own."""
    minute, rng = make_minute(seed), np.random.default_rng([seed, 1])
    left = round(total_s * SAMPLE_RATE)
    while left > 0:
        yield np.rint(minute[:left] * (32767 * rng.uniform(0.1, 0.9))).astype("<i2")
        left -= len(minute)


def write_long(path: Path, seed: int, total_s: float) -> Recording:
    """The sound as a FLAC file."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC", compression_level=0.0) as file:
        for block in minutes(seed, total_s):
            file.write(block)
    return Recording(path, path.name, Path(path.stem), total_s)


class RawSound:
    """The sound as `listen` reads it from its standard input."""

    def __init__(self, seed: int, total_s: float) -> None:
        self._minutes = minutes(seed, total_s)
        self._minute = io.BytesIO()

    def read1(self, size: int) -> bytes:
        """As `read`."""
        if not (block := self._minute.read(size)):
            self._minute = io.BytesIO(next(self._minutes, np.zeros(0, "<i2")).tobytes())
            block = self._minute.read(size)
        return block


def detect_long(detector: Detector, folder: Path, seed: int, total_s: float) -> Course:
    """Run detection on a long file, as `detect` does."""
    recording = write_long(folder / "long.flac", seed, total_s)
    watch, scored_s = Watch(total_s), 0.0

    def advance(seconds: float) -> None:
        nonlocal scored_s
        scored_s += seconds
        watch(scored_s)

    found = detect_one(recording, detector, Task(DetectOptions()), advance)
    if found.error is not None:
        raise SystemExit(found.error)
    return watch.course(len(found.events), len(found.events))


def stream_long(detector: Detector, hop_s: float, seed: int, total_s: float) -> Course:
    """Run a stream over long sound, as `listen` does."""
    watch, stream = Watch(total_s), Stream(detector, hop_s=hop_s)
    chunks = read_samples(RawSound(seed, total_s), stream.sample_rate, 1, "s16le")  # type: ignore[arg-type]  # read1 is all that it asks for
    num_events = sum(1 for _ in stream.events(_watched(chunks, watch)))
    return watch.course(num_events, 0)


def _watched(chunks: Iterator[np.ndarray], watch: Callable[[float], None]) -> Iterator[np.ndarray]:
    for count, chunk in enumerate(chunks):
        yield chunk
        watch((count + 1) * BLOCK_S)


def work(pipe: Connection, way: str, model: str, folder: Path, hop_s: float, seed: int, total_s: float) -> None:
    """One way in a process of its own."""
    detector = open_detector(model, num_threads=1)
    pipe.send(
        detect_long(detector, folder, seed, total_s) if way == "detect" else stream_long(detector, hop_s, seed, total_s)
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--model", default=SYNTHETIC_DETECTOR)
    parser.add_argument(
        "--hop",
        type=float,
        default=1.0,
        help="of the stream, seconds from one pass of the model to the next: memory is the same, time is not",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to put the file")
    options = parser.parse_args()
    print(
        "| way | "
        + " | ".join(f"{share * options.hours:g} h, MiB" for share in SHOWN)
        + " | slope, MiB/h | events | s | |\n|---|"
        + "---:|" * (len(SHOWN) + 3)
        + "---|",
        flush=True,
    )
    context, all_flat = multiprocessing.get_context("spawn"), True
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for way in ("detect", "stream"):
            own, other = context.Pipe()
            process = context.Process(
                target=work,
                args=(other, way, options.model, Path(folder), options.hop, options.seed, 3600 * options.hours),
            )
            process.start()
            other.close()
            course: Course = own.recv()
            process.join()
            print(course.row(way), flush=True)
            all_flat &= course.is_flat()
    return 0 if all_flat else 1


if __name__ == "__main__":
    sys.exit(main())
