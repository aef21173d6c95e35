"""Exported models against plain PyTorch: precisions, whole files, and memory by length.

python benchmarks/deploy.py [--model fmn10] [--parts file memory] [--rounds 3] [--minutes 10] [--hours 3]
python benchmarks/deploy.py --parts engines --model NAME --files FILE … [--rounds 30]

engines: the exported files of a model, all of which take spectrograms, in each engine that is installed, against fused
    PyTorch; and what a process takes that opens one: its CPU time with Python's start, and its peak memory.
file: from reading a file to events of 447 classes. The textbook reads the whole file, runs the plain eager model on
    pieces of 10 s that do not overlap, and post-processes by scipy's median filter and a loop over classes.
memory: peak of a separate process that runs detection on a file, less what it had before, by length.

The variants take turns in one process on one thread. Time is CPU time of the process; a ratio is the median over
rounds, after a warm-up round. Weights of the backbone are those trained on synthetic sounds if there are some; all
others are random.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
import torch
from postprocess import textbook_decode
from scipy.ndimage import median_filter

import efficient_sed as es
from efficient_sed.benchmark.exported import one_clip
from efficient_sed.errors import EfficientSedError
from efficient_sed.export.write import export_model
from efficient_sed.inference.detect import detect
from efficient_sed.inference.detector import Detector
from efficient_sed.inference.engines.contract import engines_for, exact_engines
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.torch_detector import TorchDetector
from efficient_sed.machine.environment import device_name
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.models.weights.initial import load_initial

RATE, PIECE_S, THRESHOLD, MEDIAN = 16_000, 10, 0.5, 9
CLIP_SAMPLES = PIECE_S * RATE
PARTS = ("file", "memory", "engines")
PEAK = """
import sys
from efficient_sed.inference.detect import iterate_events
from efficient_sed.machine.memory import process_peak_mb
from efficient_sed.models.weights.checkpoint import load_model
import torch
torch.set_num_threads(1)
model = load_model(sys.argv[1])
before = process_peak_mb()
count = sum(1 for _ in iterate_events(sys.argv[2], model))
print(count, process_peak_mb() - before)
"""
OPENING = """
import sys, time
from pathlib import Path
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.machine.memory import process_peak_mb
model = ExportedModel(Path(sys.argv[1]), 1, sys.argv[2])
print(1e3 * time.process_time(), process_peak_mb())
"""


def ratios(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Of each side its milliseconds, and how many times as long the first one takes."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    first = next(iter(seconds.values()))[1:]
    return {
        name: (1e3 * statistics.median(own[1:]), statistics.median(a / b for a, b in zip(first, own[1:], strict=True)))
        for name, own in seconds.items()
    }


def textbook_events(path: Path, model: SedModel) -> int:
    """Detect events in a file by the textbook loop; returns their number."""
    samples, _ = soundfile.read(path, dtype="float32")
    pieces = [samples[begin : begin + PIECE_S * RATE] for begin in range(0, len(samples), PIECE_S * RATE)]
    scores = np.concatenate([model.score_frames(torch.from_numpy(piece)[None])[0].numpy() for piece in pieces])
    smoothed = median_filter(scores, (MEDIAN, 1))
    return len(textbook_decode(smoothed, model.classes, model.grid, [THRESHOLD], len(samples) / RATE)[THRESHOLD])


def compare_files(model: SedModel, name: str, minutes: float, rounds: int, folder: Path) -> None:
    """Print a row for each way from a file to events."""
    path = write_noise(folder / "long.wav", 60 * minutes)
    export_model(model, folder / "waveform.onnx", name, overwrite=True)
    detectors: dict[str, Detector] = {
        "PyTorch": TorchDetector(model),
        **{engine: ExportedModel(folder / "waveform.onnx", 1, engine) for engine in exact_engines(".onnx")},
    }
    ours: dict[str, Callable[[], object]] = {
        f"detect, {side}, {words}": lambda detector=detector, hop_s=hop_s: detect(
            path, detector, THRESHOLD, MEDIAN, hop_s
        )  # type: ignore[misc]
        for side, detector in detectors.items()
        for words, hop_s in (("cross-fade", None), ("no overlap", float(PIECE_S)))
    }
    print("\n| model | minutes | side | s | ratio | times real time |\n|---|---:|---|---:|---:|---:|")
    for side, (milliseconds, ratio) in ratios(
        {"textbook": lambda: textbook_events(path, model), **ours}, rounds
    ).items():
        print(
            f"| {name} | {minutes:g} | {side} | {milliseconds / 1e3:.2f} | {ratio:.2f} | "
            f"{60e3 * minutes / milliseconds:.0f} |",
            flush=True,
        )


def compare_memory(model: SedModel, hours: float, folder: Path) -> None:
    """Print the peak memory of detection by the length of the file."""
    es.save_model(model, folder / "model.safetensors")
    print("\n| length | events | MiB more than before |\n|---|---:|---:|")
    for seconds in (60.0, 3600 * hours):
        path = write_noise(folder / "memory.wav", seconds)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder / "model.safetensors"), str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        count, peak = done.stdout.split()
        print(f"| {seconds / 60:g} min | {count} | {float(peak):.0f} |", flush=True)


def compare_engines(name: str, paths: Sequence[Path], rounds: int) -> None:
    """Print a row for each file in each engine that runs it here."""
    model = es.load_model(name).eval()
    fused, noise = es.fuse(model), torch.from_numpy(np.random.default_rng(0).standard_normal((1, CLIP_SAMPLES)) / 10)
    with torch.inference_mode():
        mel = model.frontend(noise.float())
    files = [opened for path in paths for opened in open_everywhere(path)]
    sides: dict[str, Callable[[], object]] = {"torch": lambda: torch.sigmoid(fused(mel).frame_logits)}
    sides |= {f"{file.path} {file.session.name}": one_clip(file) for file in files}
    with torch.inference_mode():
        found = ratios(sides, rounds)
    columns = ("model", "format", "precision", "engine", "MB", "ms", "speed", "opening ms", "peak MB", "self-test")
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * 4}{'---:|' * 6}")
    print(f"| {name} | | fp32 | fused PyTorch | | {found['torch'][0]:.1f} | 1.00 | | | |")
    for file in files:
        milliseconds, speed = found[f"{file.path} {file.session.name}"]
        path, header = Path(file.path), file.header
        command = [sys.executable, "-c", OPENING, file.path, file.session.name]
        opening = [
            [float(x) for x in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
            for _ in range(3)
        ]
        ready_ms, peak_mb = np.median(opening, axis=0)
        print(
            f"| {name} | {path.suffix} | {header.precision} | {file.session.name} | {path.stat().st_size / 1e6:.2f} | "
            f"{milliseconds:.1f} | {speed:.2f} | {ready_ms:.0f} | {peak_mb:.0f} | {file.self_test_difference:.0e} |",
            flush=True,
        )


def open_everywhere(path: Path) -> Iterator[ExportedModel]:
    """A file in each engine that passes its self-test here."""
    for engine in engines_for(path.suffix):
        try:
            yield ExportedModel(path, 1, engine)
        except EfficientSedError as error:
            print(f"left out: {error}")


def write_noise(path: Path, seconds: float) -> Path:
    """Noise whose loudness rises and falls, written a minute at a time."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for begin in range(0, round(seconds * RATE), 60 * RATE):
            time_s = np.arange(begin, min(begin + 60 * RATE, round(seconds * RATE))) / RATE
            file.write(0.1 * rng.standard_normal(len(time_s), dtype=np.float32) * np.abs(np.sin(time_s)))
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fmn10")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hours", type=float, default=3)
    parser.add_argument("--files", type=Path, nargs="+", help="with --parts engines; written by efficient-sed export")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{device_name(torch.device('cpu'))}, torch {torch.__version__}, onnxruntime "
        f"{onnxruntime.__version__}, one thread\n"
    )
    torch.manual_seed(0)
    if "engines" in options.parts:
        compare_engines(options.model, options.files, options.rounds)
        return
    model = es.create_model(options.model, num_classes=447).eval()
    if f"{model.spec.backbone.name}_synthetic" in list_cards():
        load_initial(model.backbone, dataclasses.replace(model.spec.backbone, init="synthetic"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "file" in options.parts:
            compare_files(model, options.model, options.minutes, options.rounds, folder)
        if "memory" in options.parts:
            compare_memory(model, options.hours, folder)


if __name__ == "__main__":
    main()
