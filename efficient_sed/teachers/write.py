"""Run teachers over a data set and keep their frame logits: `efficient-sed pseudo-label`."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import Batch, EvaluationWindows, collate
from efficient_sed.data.events import Clip, Splits
from efficient_sed.data.pseudo_labels import BEYOND
from efficient_sed.data.score_checks import check_scores
from efficient_sed.data.storage.columns import select
from efficient_sed.data.windows import Window, fade_logits, join_windows
from efficient_sed.errors import DataError
from efficient_sed.files.atomic import written_beside
from efficient_sed.files.folders import check_free_space
from efficient_sed.machine.environment import choose_device, describe_environment, device_name
from efficient_sed.machine.memory import enough_memory
from efficient_sed.machine.progress import progress
from efficient_sed.models.sed import frame_grid
from efficient_sed.registry import TEACHERS
from efficient_sed.teachers._journal import Journal, check_same_header, open_journal
from efficient_sed.teachers.contract import Teacher
from efficient_sed.teachers.model import ModelTeacher
from efficient_sed.teachers.stored import SUFFIXES

logger = logging.getLogger(__name__)
HEAD_BYTES, CHUNK_BYTES = 1 << 16, 1 << 8  # more than HDF5 takes for a file, and for a chunk and the name of its clip


class Written(NamedTuple):
    """How many clips the file holds."""

    num_clips: int
    num_left_out: int
    """Clips that cannot be read, or that a stored teacher does not know."""


def write_pseudo_labels(
    names: Sequence[str], output: Path, config: RunConfig, part: str, *, show_progress: bool
) -> Written:
    """Write mean frame logits of the teachers for every clip of a part.

    In the published layout, see `efficient_sed.data.pseudo_labels`.

    What is done is kept in OUTPUT.part, and a second start goes on with what is missing. A clip longer than
    `data.clip_seconds` is scored in windows of it, as in evaluation; of a shorter one the padding is kept too, so that
    a training that pads alike finds a teacher for every frame.

    Args:
        names: Released models, files of own ones, or HDF5 files of logits.
        output: The HDF5 file to write.
        config: Used are the backbone, whose grid the logits get, the data set, `train.batch_size` and
            `train.accelerator`.
        part: Part of the data set, such as "train".
        show_progress: Draw a progress bar instead of logging.

    Raises:
        DataError, CheckpointError, ConfigError: If a teacher cannot be used, no clip be read, the file was begun
        otherwise, or memory is too small.
    """
    devices = _devices(len(names), config.train.accelerator)
    grid = frame_grid(config.backbone)
    data = dataclasses.replace(config.data, on_error="skip")
    splits = data.load()
    with enough_memory(
        "while loading teachers", "label with one of them at a time, and average their files: --teacher A.h5,B.h5"
    ):
        teachers = [_load(name, splits.classes, grid) for name in names]
    for teacher in teachers:
        if isinstance(teacher, ModelTeacher):
            teacher.check_clips(data.clip_seconds)
    header = _header(names, teachers, data.name, splits, part, grid, data.clip_seconds, device_name(devices[0]))
    clips: Sequence[Clip] = getattr(splits, part)
    if output.is_file():
        return _finished(output, header, len(clips))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        unfinished = output.with_name(f"{output.name}.part")
        with open_journal(unfinished, header) as journal:
            missing = select(clips, (clip.id not in journal for clip in clips))
            if len(journal):
                logger.info("going on with %s: %d of %d clips are there", unfinished, len(journal), len(clips))
            windows = EvaluationWindows(missing, splits.classes, grid, data.clip_seconds)
            loader: Iterable[Batch] = DataLoader(
                windows, config.train.batch_size, collate_fn=collate, num_workers=data.pool_size
            )
            with (
                progress("clips", len(clips), len(journal), is_drawn=show_progress) as advance,
                _enough_memory(len(teachers), config.train.batch_size),
            ):
                for clip_id, logits in _forward(teachers, windows, loader, devices):
                    journal.append(clip_id, logits)
                    advance(1)
            if len(journal) == 0:
                raise DataError(
                    f"none of the {len(clips)} clips of the {part} part could be read, or is known to every teacher"
                )
            written = Written(len(journal), len(clips) - len(journal) + len(splits.skipped))
            _assemble(journal, output, header, grid.num_frames(round(data.clip_seconds * grid.sample_rate)), written)
        unfinished.unlink()
    except OSError as error:
        raise DataError(
            f"{output}: cannot be written ({error.strerror or error}); "
            "give what it lacks and type the same command to go on"
        ) from error
    return written


def _load(name: str, classes: Sequence[str], grid: FrameGrid) -> Teacher:
    teacher: Teacher = (
        TEACHERS.get("stored")(name) if name.endswith(SUFFIXES) else TEACHERS.get("model")((name,))
    ).build(classes, grid)
    return teacher


def _header(
    names: Sequence[str],
    teachers: Sequence[Teacher],
    data: str,
    splits: Splits,
    part: str,
    grid: FrameGrid,
    clip_seconds: float,
    device: str,
) -> dict[str, Any]:
    """Where the logits come from; equal headers mean equal logits."""
    environment = describe_environment(device)
    return {
        "format": "efficient_sed pseudo-labels/1",
        "teachers": list(names),
        "teacher_hashes": [teacher.fingerprint for teacher in teachers],
        "data": data,
        "part": part,
        "manifest_hash": splits.manifest_hash,
        "clip_seconds": clip_seconds,
        "frame_hop_s": grid.hop_s,
        "classes": list(splits.classes),
        "versions": {key: environment[key] for key in ("commit", "versions", "device")},
    }


def _finished(output: Path, header: dict[str, Any], num_clips: int) -> Written:
    try:
        with h5py.File(output, "r") as file:
            begun, count = file["header"].asstr()[()], len(file["filenames"])
    except (OSError, KeyError, TypeError) as error:
        raise DataError(
            f"{output}: exists and is not a file of pseudo-labels; delete it or give another name"
        ) from error
    check_same_header(output, begun, header)
    logger.info("%s is finished", output)
    return Written(count, num_clips - count)


def _devices(num_teachers: int, accelerator: str) -> list[torch.device]:
    """The device of each teacher; several GPUs share them."""
    device = choose_device(accelerator, "train.accelerator")
    if device.type != "cuda":
        return [device] * num_teachers
    return [torch.device("cuda", index % torch.cuda.device_count()) for index in range(num_teachers)]


def _enough_memory(num_teachers: int, batch_size: int) -> AbstractContextManager[None]:
    alone = (
        ""
        if num_teachers == 1
        else ", or label with one teacher at a time and average their files: --teacher A.h5,B.h5"
    )
    smaller = (
        f"try train.batch_size={batch_size // 2}{alone}"
        if batch_size > 1
        else alone.removeprefix(", or ") or "this machine is too small for it"
    )
    return enough_memory(
        f"with {num_teachers} teacher{'s' * (num_teachers > 1)} and train.batch_size={batch_size}",
        f"what is done is kept; {smaller}",
    )


def _forward(
    teachers: Sequence[Teacher], windows: EvaluationWindows, loader: Iterable[Batch], devices: Sequence[torch.device]
) -> Iterator[tuple[str, np.ndarray]]:
    """Clips with their logits (classes, frames), each as soon as its last window is scored."""
    pieces: dict[int, dict[int, tuple[Window, np.ndarray]]] = {}
    num_done = 0
    for batch in loader:
        for message in batch.errors:
            logger.warning("left out: %s", message)
        num_done += len(batch.positions) + len(batch.errors)
        for part in (
            torch.split(torch.arange(len(batch.positions)), len(batch.positions) if devices[0].type != "cpu" else 1)
            if len(batch.positions)
            else ()
        ):
            positions = batch.positions[part].tolist()
            for position, logits in zip(
                positions, _mean_logits(teachers, windows, positions, batch.waveform[part], devices), strict=True
            ):
                clip, window = windows.windows[position]
                if logits is None:
                    continue
                num_windows = len(windows.windows.numbers(clip))
                if num_windows == 1:
                    yield windows.clips[clip].id, logits
                    continue
                pieces.setdefault(clip, {})[position] = (window, logits.T)
                if len(pieces[clip]) == num_windows:
                    joined = join_windows((piece for _, piece in sorted(pieces.pop(clip).items())), fade_logits)
                    yield windows.clips[clip].id, np.concatenate(list(joined)).T
        for clip in [clip for clip in pieces if windows.windows.numbers(clip).stop <= num_done]:
            del pieces[clip]  # one of its windows could not be read


def _mean_logits(
    teachers: Sequence[Teacher],
    windows: EvaluationWindows,
    positions: Sequence[int],
    waveform: torch.Tensor,
    devices: Sequence[torch.device],
) -> list[np.ndarray | None]:
    """Of each window in float16; None where a teacher does not know the clip."""
    ids = [windows.clips[windows.windows[position][0]].id for position in positions]
    first_frames = [windows.grid.onset_frame(windows.windows[position][1].start_s) for position in positions]
    means: list[np.ndarray | None] = []
    answers = [
        teacher.frame_logits(ids, first_frames, waveform.to(device))
        for teacher, device in zip(teachers, devices, strict=True)
    ]
    for clip_id, first_frame, logits in zip(ids, first_frames, zip(*answers, strict=True), strict=True):
        known = [item for item in logits if item is not None]
        if len(known) < len(logits):
            means.append(None)
            continue
        mean = torch.stack(known).mean(0).half().numpy()
        where = f"teachers' logits of clip {clip_id!r}, in float16"  # where too large a number is infinity
        check_scores(where, mean.T, windows.classes, first_frame=first_frame, needs_finite=True)
        means.append(mean)
    return means


def _assemble(journal: Journal, output: Path, header: dict[str, Any], window_frames: int, written: Written) -> None:
    """Write the HDF5 file of what the journal holds."""
    shape = (len(journal), len(header["classes"]), max(journal.frames))
    chunk_frames = min(window_frames, shape[2])
    num_chunks = sum(-(-num_frames // chunk_frames) for num_frames in journal.frames)
    check_free_space(
        output, num_chunks * (2 * shape[1] * chunk_frames + CHUNK_BYTES) + HEAD_BYTES + len(json.dumps(header))
    )
    names = []
    with (
        written_beside(output) as unfinished,
        h5py.File(unfinished, "w", locking=False) as file,
    ):  # it is locked already
        # chunks that lie behind a clip's end are never written, and so take no space
        stored = file.create_dataset(
            "strong_logits", shape, np.float16, chunks=(1, shape[1], chunk_frames), fillvalue=BEYOND
        )
        for row, (clip_id, logits) in enumerate(journal):
            stored[row, :, : logits.shape[1]] = logits
            names.append(clip_id.encode())
        file["filenames"] = np.array(names, dtype="S")
        file["classes"] = np.array(header["classes"], dtype=h5py.string_dtype())
        file.attrs.update(
            {
                key: json.dumps(value) if isinstance(value, dict) else value
                for key, value in header.items()
                if key != "classes"
            }
        )
        file.attrs["num_left_out"] = written.num_left_out
        file["header"] = json.dumps(header)
