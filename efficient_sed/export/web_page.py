"""The files of a page that detects sounds, and what its scripts know about the model.

Scores become events in JavaScript as they do in Python: `page/methods` has a file for each method of post-processing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efficient_sed import __version__
from efficient_sed.audio import display
from efficient_sed.audio.grid import HOP_LENGTH, SAMPLE_RATE
from efficient_sed.data.annotations.event_tables import DETECTION_COLUMNS
from efficient_sed.data.labels import warning_about
from efficient_sed.errors import ConfigError
from efficient_sed.files.pages import fill_page, join_parts, to_script_json
from efficient_sed.inference import page_sound
from efficient_sed.inference.header import Header
from efficient_sed.inference.report import LOWEST
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD, Postprocessing
from efficient_sed.postprocessing.stream import FILE_CONTEXT_S

PAGE = Path(__file__).parent / "page"
RUNTIME_VERSION = "1.30.0"
RUNTIME = {
    "script": {
        "name": "ort.wasm.bundle.min.mjs",
        "integrity": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    },
    "wasm": {
        "name": "ort-wasm-simd-threaded.wasm",
        "integrity": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    },
}
"""Files of the npm package onnxruntime-web; the page takes no others than those that it was tested with."""
PUBLIC_ADDRESS = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{RUNTIME_VERSION}/dist/"
LOCAL_FOLDER = "runtime/"
POLICY = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self'{address}; style-src 'self'; img-src data:; media-src blob:"
)
STREAM_HOP_S, STREAM_LOOK_AHEAD_S = 1.0, 0.4  # as for `Stream`


def read_runtime(folder: Path) -> dict[str, bytes]:
    """Read the run time's files from the npm package.

    Args:
        folder: Of the package, or its `dist`.

    Raises:
        ConfigError: If a file is missing, or of another version.
    """
    need = f"npm install onnxruntime-web@{RUNTIME_VERSION} makes node_modules/onnxruntime-web"
    files = {}
    for entry in RUNTIME.values():
        name = entry["name"]
        path = next((path for path in (folder / name, folder / "dist" / name) if path.is_file()), None)
        if path is None:
            raise ConfigError(f"--runtime {folder}: has no {name}; {need}")
        files[name] = path.read_bytes()
        if entry["integrity"] != f"sha384-{base64.b64encode(hashlib.sha384(files[name]).digest()).decode()}":
            raise ConfigError(f"--runtime {path}: not that of version {RUNTIME_VERSION}; {need}")
    return files


def page_files(model: bytes, header: Header, runtime: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a page by their path in its folder, the first page of which comes last.

    Args:
        model: The ONNX file.
        header: Of it.
        runtime: Files of the run time; empty for the public ones.
    """
    parts = [*page_sound.VIEW, page_sound.PAGE / "page.css", PAGE / "opened.js", PAGE / "page.css"]
    modules = [path for path in PAGE.rglob("*.js") if path.name != "opened.js"]
    num = len(header.classes)
    about = (
        f"Model {header.model_name}, {num} {'class' if num == 1 else 'classes'}. "
        "It runs in this browser: no sound leaves the machine."
    )
    values = {
        "policy": POLICY.format(address="" if runtime else f" {PUBLIC_ADDRESS}"),
        "about": html.escape(about),
        "warning": html.escape(warning_about(header.classes)),
        "data": to_script_json(page_data(header, LOCAL_FOLDER if runtime else PUBLIC_ADDRESS)),
    }
    texts = {"page.css": join_parts(parts, ".css"), "shared.js": join_parts(parts, ".js")}
    return {
        **{f"{LOCAL_FOLDER}{name}": content for name, content in runtime.items()},
        "model.onnx": model,
        **{path.relative_to(PAGE).as_posix(): path.read_bytes() for path in modules},
        **{name: text.encode() for name, text in texts.items()},
        "index.html": fill_page(PAGE, values, page_sound.VIEW).encode(),
    }


def page_data(header: Header, runtime: str) -> dict[str, Any]:
    """What the scripts of the page know: of the model, and how its scores become events.

    Args:
        header: Of the ONNX file.
        runtime: Address of the run time's folder.
    """
    own, grid = _postprocessing(header), header.grid
    thresholds = own.thresholds or (DEFAULT_THRESHOLD,) * len(header.classes)
    in_order = sorted(header.classes)
    look_ahead_s = own.events.look_ahead_s(grid.hop_s)
    file_s = look_ahead_s if own.events.is_bounded else max(look_ahead_s, FILE_CONTEXT_S)
    stream_hop_s = min(STREAM_HOP_S, header.clip_seconds / 2)
    stream_s = stream_hop_s, min(STREAM_LOOK_AHEAD_S, header.clip_seconds - stream_hop_s), header.clip_seconds
    return {
        "version": __version__,
        "labels": header.classes,
        "ranks": [in_order.index(label) for label in header.classes],
        "thresholds": thresholds,
        "threshold": thresholds[0] if len(set(thresholds)) == 1 else None,
        "lowest": min(LOWEST, *thresholds),
        "hop": grid.hop_s,
        "truth": None,
        "unknown": [],
        "tsvColumns": DETECTION_COLUMNS,
        "frequencies": page_sound.frequency_marks(),
        "settings": {
            "runtime": {"base": runtime, **RUNTIME},
            "chain": own.events.to_list(),
            "selfTest": _self_test(header),
            "fileExtent": _frames(file_s, grid.hop_s),
            "liveExtent": _frames(look_ahead_s, grid.hop_s),
            "grid": {
                "numClasses": len(header.classes),
                "sampleRate": grid.sample_rate,
                "hopLength": grid.hop_length,
                "stride": grid.stride,
                "firstFrameSamples": grid.first_frame_samples,
                "minSamples": header.min_samples,
                "hop": grid.hop_s,
                "windowSeconds": header.clip_seconds,
                "stream": dict(
                    zip(("hop", "lookAhead", "window"), (round(part / grid.hop_s) for part in stream_s), strict=True)
                ),
            },
            "picture": {
                "sampleRate": SAMPLE_RATE,
                "hopLength": HOP_LENGTH,
                "windowLength": display.WINDOW_LENGTH,
                "fftLength": display.FFT_LENGTH,
                "bands": display.BANDS,
                "lowestHz": display.LOWEST_HZ,
                "highestHz": display.HIGHEST_HZ,
                "rangeDb": display.RANGE_DB,
                "numLevels": display.LEVELS,
            },
        },
    }


def check_postprocessing(header: Header) -> None:
    """Raise a ConfigError unless the page has the model's post-processing, a file of `methods` each."""
    for step in _postprocessing(header).events.steps:
        if not (PAGE / "methods" / f"{step.name}.js").is_file():
            raise ConfigError(f"post-processing {step.name!r} cannot be exported: {PAGE}/methods has no such file")


def _self_test(header: Header) -> dict[str, Any] | None:
    """The self-test without clip scores, which the page does not compute; None while the file is made."""
    if (test := header.self_test) is None:
        return None
    scores = test.expected[:, :-1].tolist()
    return {key: getattr(test, key) for key in ("samples", "classes", "frames", "tolerance")} | {"scores": scores}


def _postprocessing(header: Header) -> Postprocessing:
    return Postprocessing.of(header.postprocessing, header.median_frames, len(header.classes), header.grid.hop_s)


def _frames(seconds: float, hop_s: float) -> int:
    """As `smooth_stream` counts what a frame waits for."""
    return math.ceil(round(seconds / hop_s, 6))
