"""Time and memory for opening, counting, sampling and checking a data set of two million clips.

python benchmarks/large_index.py [--clips 2000000] [--drawn 100000] [--folder DIR]

The data set is generated: a packed one of four shards, whose clips of 1 s share a thousand sounds, so that the disk
does not matter. Each clip has its own id, digest, and one to three events of 447 classes. "objects" makes tuples of
Clip objects, as earlier versions did; "columns" reads clips from the index, as the package does. Each variant has its
own process on one thread. Times are CPU seconds, except for the loader's clips a second. Memory is resident memory in
MiB, less what the process had before it opened the data; for two forked data workers it is what each has for itself
after all draws, since reading a Python object writes to its page, which is then copied.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.grid import SAMPLE_RATE, FrameGrid
from efficient_sed.data.check import check_data
from efficient_sed.data.dataset import TrainingClips, collate
from efficient_sed.data.events import Splits
from efficient_sed.data.samplers import EpochSampler, weights_by_frames
from efficient_sed.data.sets.packed import PackedConfig
from efficient_sed.data.storage.packed_file import FORMAT, INDEX_NAME, SHARD_NAME, VERSION
from efficient_sed.machine.environment import device_name
from efficient_sed.machine.memory import process_peak_mb

NUM_CLASSES, NUM_SHARDS, SOUNDS = 447, 4, 250  # sounds a shard
BATCH = 32


def write_index(folder: Path, num_clips: int) -> None:
    """A packed data set; a hundredth of the clips is its validation and its test part."""
    rng, checksums = np.random.default_rng(0), []
    for shard in range(NUM_SHARDS):
        with h5py.File(folder / SHARD_NAME.format(shard), "w") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file["samples"] = samples = rng.integers(-3000, 3000, SOUNDS * SAMPLE_RATE, dtype=np.int16)
            checksums += [zlib.crc32(sound.tobytes()) for sound in samples.reshape(SOUNDS, -1)]
    num_train = num_clips - num_clips // 100
    counts = rng.integers(1, 4, num_clips)
    onsets = rng.uniform(0, 0.8, counts.sum()).round(3)
    with h5py.File(folder / INDEX_NAME, "w") as file:
        file.attrs["format"], file.attrs["version"], file.attrs["expected"] = FORMAT, VERSION, json.dumps(None)
        file["classes"] = np.array([f"class_{number}".encode() for number in range(NUM_CLASSES)])
        file["shard_first"] = np.arange(NUM_SHARDS) * SOUNDS * SAMPLE_RATE
        file["id"] = np.char.add(b"Y", np.char.zfill(np.arange(num_clips).astype("S11"), 11))
        file["digest"] = np.char.add(b"int16:", np.frombuffer(rng.bytes(32 * num_clips).hex().encode(), "S64"))
        file["first"] = rng.integers(0, NUM_SHARDS * SOUNDS, num_clips) * SAMPLE_RATE
        file["length"], file["scale"], file["duration_s"] = (
            np.full(num_clips, SAMPLE_RATE),
            np.ones(num_clips),
            np.ones(num_clips),
        )
        file["crc32"] = np.array(checksums)[file["first"][:] // SAMPLE_RATE]
        file["event_first"] = np.concatenate([[0], np.cumsum(counts)])
        file["event_onset_s"], file["event_offset_s"] = onsets, np.minimum(1, onsets + 0.15)
        file["event_class"] = rng.integers(0, NUM_CLASSES, len(onsets), dtype=np.int32)
        file["train"], file["validation"], file["test"] = (
            np.arange(num_train),
            np.arange(num_train, num_clips),
            np.arange(num_train, num_clips),
        )


def memory_mib(process: int | str = "self", kind: str = "Rss") -> float:
    """Of a process; Private_Dirty is what it has for itself alone."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of a call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measure(pipe: Connection, folder: Path, is_lazy: bool, num_drawn: int) -> None:
    """One column of the table."""
    torch.set_num_threads(1)
    config = PackedConfig(root=str(folder), num_workers=2)
    found: dict[str, float] = {}
    before = memory_mib()
    loaded: list[Splits] = []

    def load() -> None:
        splits = config.load()
        loaded.append(
            splits
            if is_lazy
            else dataclasses.replace(
                splits, train=tuple(splits.train), validation=tuple(splits.validation), test=tuple(splits.test)
            )
        )

    found["open, s"] = seconds(load)
    splits = loaded[0]
    found["memory after opening, MiB"] = memory_mib() - before
    found["manifest hash where none is stored, s"] = seconds(splits.hash_clips)
    weights = weights_by_frames(splits.train, FrameGrid())
    found["weights of a balanced sampler, s"] = seconds(lambda: weights_by_frames(splits.train, FrameGrid()))
    found["order of an epoch, s"] = seconds(lambda: next(iter(EpochSampler(len(splits.train), 0, None, weights))))
    clips = TrainingClips(splits.train, splits.classes, FrameGrid(), 1.0, 0)
    for num_workers in (0, 2):
        sampler, context = EpochSampler(len(splits.train), 0, num_drawn, weights), "fork" if num_workers else None
        loader = iter(
            DataLoader(
                clips,
                BATCH,
                collate_fn=collate,
                num_workers=num_workers,
                sampler=sampler,
                multiprocessing_context=context,
            )
        )
        next(loader)
        begun = time.perf_counter()
        for _ in range(num_drawn // BATCH - 20):
            next(loader)
        found[f"clips/s with {num_workers} workers"] = (num_drawn - 20 * BATCH) / (time.perf_counter() - begun)
    found[f"a worker's own memory after {num_drawn // 2:,} draws, MiB"] = max(
        memory_mib(child.pid or "", "Private_Dirty") for child in multiprocessing.active_children()
    )
    del loader
    found["peak memory, MiB"] = (process_peak_mb() or 0.0) - before
    pipe.send(found)


def measure_check(pipe: Connection, folder: Path) -> None:
    """`data check`: every clip decoded, all events counted, the hash computed."""
    torch.set_num_threads(1)
    before = memory_mib()
    stop, samples = threading.Event(), [0.0]

    def watch() -> None:
        while not stop.wait(0.5):
            samples.append(memory_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    taken = seconds(lambda: check_data(PackedConfig(root=str(folder), num_workers=2)).splits.manifest_hash)
    stop.set()
    watcher.join()
    pipe.send({"data check, s": taken, "its peak memory, MiB": max(samples) - before})


def apart(target: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """What a process of its own finds."""
    context = multiprocessing.get_context("spawn")
    own, other = context.Pipe()
    process = context.Process(target=target, args=(other, *arguments))
    process.start()
    other.close()
    found: dict[str, float] = own.recv()
    process.join()
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2_000_000)
    parser.add_argument("--drawn", type=int, default=100_000)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the data may lie: 0.4 GB"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_index(folder, options.clips)
        print(
            f"{device_name(torch.device('cpu'))}, torch {torch.__version__}, {options.clips:,} clips\n\n| | "
            "objects | columns |\n|---|---:|---:|",
            flush=True,
        )
        objects, columns = (apart(measure, folder, is_lazy, options.drawn) for is_lazy in (False, True))
        for what, value in columns.items():
            print(f"| {what} | {objects[what]:,.1f} | {value:,.1f} |", flush=True)
        for what, value in apart(measure_check, folder).items():
            print(f"| {what} | | {value:,.1f} |", flush=True)


if __name__ == "__main__":
    main()
