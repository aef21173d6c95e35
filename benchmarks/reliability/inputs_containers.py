"""Files that hold many clips or their labels: HDF5, Arrow, numpy and pickle, the index and the journal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.parse import from_dict
from efficient_sed.data.clip_teacher import ClipTeacher
from efficient_sed.data.events import PARTS
from efficient_sed.data.labels import audioset_labels
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.sets.folder import FolderConfig
from efficient_sed.data.sets.packed import PackedConfig
from efficient_sed.data.storage.index import IndexRow, file_stamp, index_file, look_up
from efficient_sed.data.storage.packing import pack_data
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.registry import DATASETS
from efficient_sed.teachers._journal import open_journal
from reliability.inputs import Kind, check_splits, demand
from reliability.inputs_annotations import VIDEOS, prepare_folder, write_sound
from reliability.mutations import NUMBERS, change_value, damage, damaged_json

CLASSES = ("cat", "dog", "train")
SPLITS = ("balanced_train", "unbalanced_train", "eval")


def wild_hdf5(path: Path, rng: random.Random) -> None:
    """Replace a data set or an attribute of an HDF5 file by something else."""
    with h5py.File(path, "r+") as file:
        names = [*file]
        if file.attrs and rng.random() < 0.2:
            key = rng.choice([*file.attrs])
            file.attrs[key] = _hdf5_value(rng)
            return
        name = rng.choice(names)
        old = file[name][...]
        del file[name]
        makers: list[Callable[[], object]] = [
            lambda: None,
            lambda: file.create_group(name),
            lambda: file.__setitem__(name, _hdf5_value(rng)),
            lambda: file.__setitem__(name, old[: rng.randrange(len(old) + 1)] if old.ndim else old),
            lambda: file.__setitem__(name, np.concatenate([old, old]) if old.ndim else old),
            lambda: file.__setitem__(name, old[None]),
            lambda: file.__setitem__(name, _changed(old, rng)),
            lambda: file.__setitem__(name, _changed(old, rng)),
            lambda: file.__setitem__(name, _changed(old, rng)),
            lambda: file.create_dataset(
                name,
                shape=(10 ** rng.randrange(6, 13),),
                dtype=rng.choice(("i1", "f8", "S40")),
                chunks=(10**6,),
                compression="gzip",
            ),
            lambda: file.create_dataset(
                name, shape=(old.size, 3, 10**9), dtype="f2", chunks=(1, 3, 10**8), compression="gzip"
            ),
            lambda: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")),
            lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
            lambda: file.create_dataset(name, shape=(4,), dtype="i8", external=[("/etc/passwd", 0, 32)]),
            lambda: file.create_dataset(name, dtype=h5py.vlen_dtype(np.uint8), shape=(3,)),
        ]  # fmt: skip
        with contextlib.suppress(TypeError, ValueError):  # h5py refuses to write some: then the data set is missing
            rng.choice(makers)()


def _hdf5_value(rng: random.Random) -> Any:
    return rng.choice(
        (
            np.float64("nan"),
            np.int64(-1),
            np.int64(2**40),
            b"",
            b"\xff\xfe",
            "text",
            np.zeros(0),
            np.array([1.5, -1.0]),
            np.array([b"a", b"\xff"]),
            h5py.Empty("f4"),
            np.array([True, False]),
        )
    )


def _changed(old: np.ndarray, rng: random.Random) -> np.ndarray:
    """One element, or the type of all."""
    if old.dtype.kind not in "iuf" or not old.size:
        return np.array([b"x" * rng.choice((0, 1, 50))] * len(old)) if old.ndim else np.array(b"x")
    if rng.random() < 0.2:
        return old.astype(rng.choice(("f4", "i2", "c8", "S5", "?", ">f8")))
    changed = old.astype(np.float64) if rng.random() < 0.2 else old.copy()
    with np.errstate(all="ignore"):
        value = rng.choice((-1, 0, 1, 10**6, 2**62, -(2**62), np.nan, np.inf, -0.5, 1e30))
        try:
            changed.flat[rng.randrange(changed.size)] = value
        except (ValueError, OverflowError):
            changed.flat[0] = 0
    return changed


def _write(path: Path, original: Path, rng: random.Random) -> None:
    made = path.with_name("made")  # a file of its own: the one before may still be open
    if rng.random() < 0.5:
        made.write_bytes(damage(original.read_bytes(), rng))
    else:
        shutil.copy(original, made)
        wild_hdf5(made, rng)
    made.replace(path)


def _prepare_pseudo_labels(folder: Path) -> None:
    with h5py.File(folder / "original.h5", "w") as file:
        file["filenames"] = np.array([f"{name}.wav".encode() for name in "abcd"])
        file["classes"] = np.array([label.encode() for label in CLASSES])
        file["strong_logits"] = np.random.default_rng(0).normal(size=(4, 3, 25)).astype(np.float16)
        file.attrs["frame_hop_s"] = 0.04


def _attempt_pseudo_labels(rng: random.Random, folder: Path) -> bool:
    path = folder / "damaged.h5"
    _write(path, folder / "original.h5", rng)
    labels = PseudoLabels(path, CLASSES, clip_seconds=1.0)
    for clip in ("a.wav", "c.wav"):
        if clip in labels:
            logits = labels.read(clip, rng.choice((0, 5, 30)), 10)
            demand(
                logits.dtype == np.float32
                and logits.ndim == 2
                and len(logits) == 3
                and logits.shape[1] <= 10
                and np.isfinite(logits).all(),
                f"logits {logits.shape}",
            )
    return True


def _prepare_packed(folder: Path) -> None:
    prepare_folder(folder)
    pack_data(FolderConfig(root=str(folder), num_workers=1), folder / "original.h5")


def _attempt_packed(rng: random.Random, folder: Path) -> bool:
    path = folder / "damaged.h5"
    _write(path, folder / "original.h5", rng)
    splits = PackedConfig(root=str(path)).load()
    check_splits(splits, folder)
    for part in PARTS:
        for clip in getattr(splits, part):
            samples = clip.audio.read().numpy()
            demand(
                np.isfinite(samples).all() and abs(len(samples) - clip.duration_s * SAMPLE_RATE) <= 2,
                f"{len(samples)} samples of {clip.duration_s} s",
            )
    return True


def _prepare_hdf5(folder: Path) -> None:
    _audioset_tables(folder)
    for split, videos in zip(SPLITS, (VIDEOS[:1], VIDEOS[1:2], VIDEOS[2:]), strict=True):
        with h5py.File(folder / f"{split}_segments_mp3.hdf", "w") as file:
            file["audio_name"] = np.array([f"audio/Y{video}.mp3".encode() for video in videos])
            rows = file.create_dataset("mp3", (len(videos),), dtype=h5py.vlen_dtype(np.uint8))
            for row in range(len(videos)):
                rows[row] = np.frombuffer(_mp3(), np.uint8)
            bits = np.zeros((len(videos), 527), bool)
            bits[:, 0] = True
            file["target"] = np.packbits(bits, axis=-1)


def _audioset_tables(folder: Path) -> None:
    for side, videos in (("train", VIDEOS[:2]), ("eval", VIDEOS[2:])):
        rows = [f"{video}_30000\t0.1\t0.4\t/m/09x0r" for video in videos]
        (folder / f"audioset_{side}_strong.tsv").write_text(
            "\n".join(["segment_id\tstart_time_seconds\tend_time_seconds\tlabel", *rows]) + "\n"
        )


def _mp3() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).uniform(-0.1, 0.1, 8000), 16_000, format="MP3")
    return buffer.getvalue()


def _load_audioset(root: Path, rng: random.Random) -> bool:
    options = {"root": str(root), "on_error": rng.choice(("raise", "skip")), "num_workers": 1}
    splits = from_dict(DATASETS.get(rng.choice(("audioset_strong", "audioset_weak"))), options).load()
    check_splits(splits, root)
    for clip in (*splits.train, *splits.test):
        samples = clip.audio.read().numpy()
        demand(np.isfinite(samples).all() and len(samples) > 0, "samples")
    return True


def _attempt_hdf5(rng: random.Random, folder: Path) -> bool:
    damaged = folder / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    damaged.mkdir()
    for path in [*folder.glob("*.hdf"), *folder.glob("*.tsv")]:
        shutil.copy(path, damaged)
    name = f"{rng.choice(SPLITS)}_segments_mp3.hdf"
    _write(damaged / name, folder / name, rng)
    return _load_audioset(damaged, rng)


def _arrow_rows(videos: tuple[str, ...]) -> dict[str, list[Any]]:
    event = {"event_label": ["Speech"], "event_label_id": ["/m/09x0r"], "onset": [0.1], "offset": [0.4]}
    return {
        "filename": [f"Y{video}.mp3" for video in videos],
        "mp3_bytes": [_mp3()] * len(videos),
        "events": [event] * len(videos),
        "target": [[1.0] + [0.0] * (len(audioset_labels("weak")) - 1)] * len(videos),
    }


def _write_arrow(folder: Path, rows: dict[str, list[Any]]) -> None:
    import pyarrow as pa

    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(rows)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_data_files": None})
    )


def _prepare_arrow(folder: Path) -> None:
    for split, videos in zip(SPLITS, (VIDEOS[:1], VIDEOS[1:2], VIDEOS[2:]), strict=True):
        _write_arrow(folder / "original" / split, _arrow_rows(videos))


def _attempt_arrow(rng: random.Random, folder: Path) -> bool:
    import pyarrow as pa

    damaged = folder / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(folder / "original", damaged)
    split = damaged / rng.choice(SPLITS)
    action = rng.random()
    if action < 0.2:
        (split / "state.json").write_bytes(damaged_json((split / "state.json").read_text(), rng))
    elif action < 0.6:
        file = split / "data-00000-of-00001.arrow"
        file.write_bytes(damage(file.read_bytes(), rng))
    else:
        rows: dict[str, list[Any]] = _arrow_rows(VIDEOS[:1])
        name = rng.choice([*rows])
        if rng.random() < 0.2:
            del rows[name]
        elif name == "mp3_bytes":
            rows[name] = [rng.choice((None, b"", b"x", "text", 5, 1.5, [1]))]
        else:
            rows[name] = change_value(rows[name], rng)
        try:
            _write_arrow(split, rows)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeEncodeError):
            _write_arrow(split, rows | {name: [None]})
    return _load_audioset(damaged, rng)


def _prepare_clip_teacher(folder: Path) -> None:
    np.save(folder / "logits.npy", np.random.default_rng(0).normal(size=(4, 3)).astype(np.float16))
    (folder / "index.pkl").write_bytes(pickle.dumps({f"{name}.wav": row for row, name in enumerate("abcd")}))


def _attempt_clip_teacher(rng: random.Random, folder: Path) -> bool:
    logits, index = folder / "damaged.npy", folder / "damaged.pkl"
    shutil.copy(folder / "logits.npy", logits)
    shutil.copy(folder / "index.pkl", index)
    action = rng.random()
    if action < 0.35:
        logits.write_bytes(damage(logits.read_bytes(), rng))
    elif action < 0.7:
        index.write_bytes(damage(index.read_bytes(), rng))
    elif action < 0.85:
        np.save(logits, _changed(np.load(logits), rng), allow_pickle=True)
    else:
        index.write_bytes(pickle.dumps(change_value({"a.wav": 0, "b.wav": 1}, rng)))
    teacher = ClipTeacher(logits, index, CLASSES)
    if "a.wav" in teacher:
        values = teacher.read("a.wav", 0, 5)
        demand(
            values.shape == (3, 5) and values.dtype == np.float32 and np.isfinite(values).all(),
            f"logits {values.shape}",
        )
    return True


def _rows(folder: Path) -> list[IndexRow]:
    return [
        IndexRow(
            f"{name}.wav", file_stamp(folder / "audio" / f"{name}.wav"), AudioFile(folder / "audio" / f"{name}.wav")
        )
        for name in "abc"
    ]


def _prepare_index(folder: Path) -> None:
    os.environ["EFFICIENT_SED_HOME"] = str(folder / "home")
    for name in "abc":
        write_sound(folder / "audio" / f"{name}.wav")
    look_up(folder / "audio", _rows(folder), 1)
    shutil.copy(index_file(folder / "audio"), folder / "original.npz")


def _attempt_index(rng: random.Random, folder: Path) -> bool:
    path, original = index_file(folder / "audio"), folder / "original.npz"
    is_rewritten = rng.random() < 0.5
    if is_rewritten:
        wild_npz(original, path, rng)
    else:
        path.write_bytes(damage(original.read_bytes(), rng))
    before = path.stat().st_mtime_ns
    entries = look_up(folder / "audio", _rows(folder), 1)
    for entry in entries:
        demand(
            0 < entry.duration_s < float("inf")
            and len(entry.digest) == 64
            and entry.num_bytes > 0
            and isinstance(entry.problem, str),
            f"{entry}",
        )
        demand(is_rewritten or entry.duration_s == 0.5, f"{entry} is not what the file holds")
    return path.stat().st_mtime_ns == before


def wild_npz(original: Path, path: Path, rng: random.Random) -> None:
    """An archive of arrays with one of them changed, left out, an object, or declared to be of any size."""
    with np.load(original) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    name = rng.choice([*arrays])
    action = rng.random()
    if action < 0.15:
        del arrays[name]
    elif action < 0.3:
        arrays[name] = np.array([{"a": 1}], dtype=object)
    elif action < 0.6:
        arrays[name] = np.asarray(
            rng.choice(
                (
                    arrays[name][..., None],
                    arrays[name].ravel()[:1],
                    np.array(rng.choice([n for n in NUMBERS if isinstance(n, float)])),
                    np.array(["a"]),
                )
            )
        )
    else:
        arrays[name] = _changed(arrays[name], rng)
    np.savez(path, **arrays)
    if rng.random() < 0.2:  # a header alone, of an array that nobody has room for
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, array in arrays.items():
                with archive.open(f"{key}.npy", "w") as file:
                    if key == name:
                        shape = (10 ** rng.randrange(7, 13),)
                        np.lib.format.write_array_header_2_0(
                            file, {"descr": "<f8", "fortran_order": False, "shape": shape}
                        )  # type: ignore[no-untyped-call]
                        file.write(bytes(10**7))
                    else:
                        np.lib.format.write_array(file, np.asarray(array))  # type: ignore[no-untyped-call]


HEADER = {
    "format": "efficient_sed pseudo-labels/1",
    "classes": list(CLASSES),
    "teachers": ["a"],
    "versions": {"torch": "2"},
}


def _logits(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(3, 5 + number)).astype(np.float16)


def _prepare_journal(folder: Path) -> None:
    with open_journal(folder / "original.part", HEADER) as journal:
        for number in range(4):
            journal.append(f"clip {number}", _logits(number))


def _attempt_journal(rng: random.Random, folder: Path) -> bool:
    path, original = folder / "damaged.part", (folder / "original.part").read_bytes()
    line, _, rest = original.partition(b"\n")
    path.write_bytes(damage(original, rng) if rng.random() < 0.7 else damaged_json(line.decode(), rng) + b"\n" + rest)
    with open_journal(path, HEADER) as journal:
        for clip_id, logits in journal:
            demand(clip_id in {f"clip {number}" for number in range(4)}, f"clip {clip_id!r}")
            demand(np.array_equal(logits, _logits(int(clip_id[-1]))), f"logits of {clip_id}")
        journal.append("new", _logits(9))
        demand("new" in journal and np.array_equal(dict(journal)["new"], _logits(9)), "what was appended is lost")
    return True


CONTAINERS = [
    Kind("pseudo_labels", "pseudo-labels (HDF5)", 7, _prepare_pseudo_labels, _attempt_pseudo_labels),
    Kind("packed", "packed data (HDF5)", 7, _prepare_packed, _attempt_packed),
    Kind("hdf5", "AudioSet in HDF5", 5, _prepare_hdf5, _attempt_hdf5),
    Kind("arrow", "AudioSet in Arrow", 5, _prepare_arrow, _attempt_arrow),
    Kind("clip_teacher", "clip teacher (npy, pickle)", 5, _prepare_clip_teacher, _attempt_clip_teacher),
    Kind("index", "stored index (npz)", 4, _prepare_index, _attempt_index),
    Kind("journal", "journal of pseudo-labels", 5, _prepare_journal, _attempt_journal),
]
