"""Time of the input pipeline and the augmentations, against textbook forms; `training_step.py` has the step.

python benchmarks/training.py [--rounds 5] [--threads 1] [--clips 32] [--device cpu]

Both take turns in one process, on the same generated clips. Time is CPU time of the process (on a GPU: wall time
between synchronisations); a ratio is the median over rounds. The textbook: the published input pipeline in plain form
(open the container, decode, first channel, resample, pad, targets by a loop over the rows of a table) and
augmentations clip by clip.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor
from torch.nn.functional import pad

from efficient_sed.audio.augment.time import draw_mixup, draw_time_shifts, mix, mix_waveforms, roll_in_time
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.dataset import TrainingClips
from efficient_sed.data.events import Splits
from efficient_sed.data.labels import audioset_labels, audioset_vocabulary
from efficient_sed.data.samplers import Draw
from efficient_sed.data.storage.packing import pack_data
from efficient_sed.experiment.compose import compose_run
from efficient_sed.machine.environment import device_name
from efficient_sed.models.factory import create_model

SECONDS, RATE, EVENTS = 10, 32_000, 8
NUM_FRAMES, NUM_CLASSES = 250, 447
Table = list[dict[str, Any]]


def clock(device: torch.device) -> float:
    """Seconds, to be subtracted."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def compare(
    name: str,
    count: int,
    unit: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    device: torch.device,
) -> None:
    """Print a row: how many a second we do, they do, and the ratio."""
    seconds: list[tuple[float, float]] = []
    for repeat in range(rounds + 1):
        pair = []
        for run in (ours, theirs):
            start = clock(device)
            run()
            pair.append(clock(device) - start)
        if repeat:
            seconds.append((pair[0], pair[1]))
    mine, other = (count / statistics.median(pair[side] for pair in seconds) for side in (0, 1))
    print(
        f"| {name} | {unit} | {mine:.1f} | {other:.1f} | {statistics.median(b / a for a, b in seconds):.2f} |",
        flush=True,
    )


def class_indices() -> dict[str, int]:
    """Position of each of the 447 classes by its mid."""
    position = {label: index for index, label in enumerate(audioset_labels("strong"))}
    return {mid: position[label] for mid, label in audioset_vocabulary("strong").items() if label in position}


def write_audioset(root: Path, num_clips: int) -> Table:
    """Generate clips in the published HDF5 layout and the official table of events; returns its training rows."""
    rng = np.random.default_rng(0)
    mids = list(class_indices())
    tables: dict[str, Table] = {}
    for split, count in (("balanced_train", 2), ("unbalanced_train", num_clips), ("eval", 2)):
        names, files, rows = [], [], []
        for index in range(count):
            video = f"{split[:5]}{index:06d}"[:11].ljust(11, "0")
            t = np.arange(SECONDS * RATE) / RATE
            wave = 0.1 * rng.standard_normal((len(t), 2)) + 0.3 * np.sin(2 * np.pi * (200 + 20 * index) * t)[:, None]
            buffer = io.BytesIO()
            soundfile.write(buffer, wave.astype(np.float32), RATE, format="MP3")
            names.append(f"Y{video}.mp3".encode())
            files.append(np.frombuffer(buffer.getvalue(), np.uint8))
            for _ in range(EVENTS):
                onset = float(rng.uniform(0, 9))
                rows.append(
                    {
                        "segment_id": f"{video}_0",
                        "start": onset,
                        "end": onset + float(rng.uniform(0.1, 1.0)),
                        "label": mids[int(rng.integers(len(mids)))],
                    }
                )
        with h5py.File(root / f"{split}_segments_mp3.hdf", "w") as file:
            file["audio_name"] = np.array(names)
            stored = file.create_dataset("mp3", (count,), h5py.vlen_dtype(np.uint8))
            for index, content in enumerate(files):
                stored[index] = content
            file["target"] = np.zeros((count, 66), np.uint8)
        tables[split] = rows
    for name, splits in (("train", ("balanced_train", "unbalanced_train")), ("eval", ("eval",))):
        lines = ["segment_id\tstart_time_seconds\tend_time_seconds\tlabel"]
        lines += [
            f"{row['segment_id']}\t{row['start']:.3f}\t{row['end']:.3f}\t{row['label']}"
            for split in splits
            for row in tables[split]
        ]
        (root / f"audioset_{name}_strong.tsv").write_text("\n".join(lines) + "\n")
    return tables["unbalanced_train"]


def textbook_clip(path: Path, row: int, table: Table, classes: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Waveform and dense targets of one clip."""
    with h5py.File(path) as file:
        content, name = file["mp3"][row].tobytes(), file["audio_name"][row].decode()
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    waveform = torchaudio.functional.resample(torch.from_numpy(samples[:, 0].copy()), rate, SAMPLE_RATE)[
        : SECONDS * SAMPLE_RATE
    ]
    targets = np.zeros((NUM_CLASSES, NUM_FRAMES), np.float32)
    for event in table:
        if event["segment_id"].startswith(name[1:12]):
            targets[classes[event["label"]], int(event["start"] / 0.04) : int(np.ceil(event["end"] / 0.04))] = 1
    return pad(waveform, (0, SECONDS * SAMPLE_RATE - len(waveform))), torch.from_numpy(targets)


def measure_pipeline(num_clips: int, rounds: int) -> None:
    """Clips a second of one worker, from mp3 in HDF5 and from a packed copy."""
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = write_audioset(root, num_clips)
        path, classes = root / "unbalanced_train_segments_mp3.hdf", class_indices()
        splits = compose_run(["data=audioset_strong", f"data.root={root}"]).data.load()
        pack_data(compose_run(["data=audioset_strong", f"data.root={root}"]).data, root / "packed.h5")
        packed = compose_run(["data=packed", f"data.root={root / 'packed.h5'}"]).data.load()

        def read_ours(source: Splits) -> Callable[[], object]:
            dataset = TrainingClips(
                source.train, source.classes, create_model("fmn04", NUM_CLASSES).grid, SECONDS, seed=0
            )
            return lambda: [dataset[Draw(0, index)] for index in range(num_clips)]

        def read_textbook() -> None:
            for row in range(num_clips):
                textbook_clip(path, row, table, classes)

        compare("input, mp3 in HDF5", num_clips, "clips/s", read_ours(splits), read_textbook, rounds, cpu)
        compare("input, packed copy", num_clips, "clips/s", read_ours(packed), read_textbook, rounds, cpu)


def measure_augmentations(rounds: int, device: torch.device, batch: int = 64) -> None:
    """The augmentations that are on by default, on one batch."""
    waveform, mel = (
        torch.randn(batch, SECONDS * SAMPLE_RATE, device=device),
        torch.randn(batch, 1, 128, 4 * NUM_FRAMES, device=device),
    )
    targets = torch.rand(batch, NUM_CLASSES, NUM_FRAMES, device=device).round()
    rng = np.random.default_rng(0)
    partners, share = (drawn.to(device) for drawn in draw_mixup(rng, batch, 2.0))
    shifts = draw_time_shifts(rng, batch, NUM_FRAMES, 0.125).to(device)

    def roll_ours() -> None:
        roll_in_time(mel, 4 * shifts), roll_in_time(targets, shifts)

    def roll_textbook() -> None:
        torch.stack([torch.roll(x, 4 * int(shift), -1) for x, shift in zip(mel, shifts, strict=True)])
        torch.stack([torch.roll(x, int(shift), -1) for x, shift in zip(targets, shifts, strict=True)])

    def mix_ours() -> None:
        mix_waveforms(waveform, partners, share), mix(targets, partners, share)

    def mix_textbook() -> None:
        torch.stack(
            [
                (waveform[i] - waveform[i].mean()) * s + (waveform[j] - waveform[j].mean()) * (1 - s)
                for i, (j, s) in enumerate(zip(partners, share, strict=True))
            ]
        )
        torch.stack(
            [targets[i] * s + targets[j] * (1 - s) for i, (j, s) in enumerate(zip(partners, share, strict=True))]
        )

    compare(f"time roll, {batch} clips", batch, "clips/s", roll_ours, roll_textbook, rounds, device)
    compare(f"waveform mix, {batch} clips", batch, "clips/s", mix_ours, mix_textbook, rounds, device)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(f"{device_name(device)}, torch {torch.__version__}, threads {options.threads}\n")
    print("| what | unit | ours | textbook | ratio |")
    print("|---|---|---:|---:|---:|")
    measure_pipeline(options.clips, options.rounds)
    measure_augmentations(options.rounds, device)


if __name__ == "__main__":
    main()
