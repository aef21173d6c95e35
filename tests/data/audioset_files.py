"""A few clips of AudioSet in the published Arrow and HDF5 files and as folders with the official tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile

from efficient_sed.data.labels import EVALUATION_ONLY, audioset_labels, audioset_vocabulary
from efficient_sed.data.sets._audioset_tables import clip_id

BARK, SPEECH, SILENCE, PANT, MUSIC = "/m/05tny_", "/m/09x0r", "/m/028v0c", "/t/dd00141", "/m/04rlf"
SEGMENTS = {  # split -> video -> (start in s, events, labels of the weak set)
    "balanced_train": {
        "--aaaaaaaaa": (30, [(0.0, 1.234, BARK), (1.0, 2.5, BARK), (4.0, 4.875, SPEECH)], [SPEECH, BARK]),
        "Yb_bbbbbbbb": (0, [(9.1, 10.0, PANT)], [SPEECH]),
    },
    "unbalanced_train": {
        "ccccccccccc": (400, [(0.641, 10.0, MUSIC)], [MUSIC]),
        "ddddddddddd": (5, [(2.0, 3.0, SPEECH), (3.0, 4.0, SPEECH)], [SPEECH, MUSIC]),
        "eeeeeeeeeee": (5, [(7.5, 8.0, BARK)], [BARK]),
    },
    "eval": {
        "f-fffffffff": (30, [(0.25, 5.0, SPEECH), (1.0, 2.0, SILENCE), (6.0, 7.0, BARK)], [SPEECH, BARK]),
        "ggggggggggg": (30, [(3.0, 4.5, MUSIC)], [MUSIC]),
        "hhhhhhhhhhh": (30, [(0.0, 10.0, SILENCE)], [SILENCE]),  # no evaluated class
        "iiiiiiiiiii": (60, [(1.5, 2.5, BARK)], [BARK, SPEECH]),
    },
}
VIDEOS = [video for videos in SEGMENTS.values() for video in videos]


def tone(index: int, seconds: float, rate: int = 32_000) -> np.ndarray:
    """A stereo tone of its own pitch; its second channel is another."""
    t = np.arange(int(seconds * rate)) / rate
    return np.stack([0.3 * np.sin(2 * np.pi * (200 + 90 * index) * t), 0.2 * np.sin(2 * np.pi * 3000 * t)], 1)


@cache
def mp3(index: int, seconds: float = 10.0) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(index, seconds), 32_000, format="MP3")
    return buffer.getvalue()


def mp3_files(seconds: float = 9.9) -> dict[str, bytes]:
    """Content by video: a little shorter than the annotated ten seconds, as many downloads are."""
    return {video: mp3(index, seconds) for index, video in enumerate(VIDEOS)}


def display(mid: str) -> str:
    return audioset_vocabulary("strong").get(mid) or EVALUATION_ONLY[mid]


def write_table(path: Path, splits: Sequence[str], separator: str = "\t") -> None:
    """The official events, or the comma-separated copy, whose first column is unnamed."""
    first = "segment_id" if separator == "\t" else ""
    rows = [separator.join([first, "start_time_seconds", "end_time_seconds", "label"])]
    for split in splits:
        for video, (start, events, _) in SEGMENTS[split].items():
            rows += [separator.join([f"{video}_{1000 * start}", str(on), str(off), mid]) for on, off, mid in events]
    path.write_text("\n".join(rows) + "\n")


def write_tables(root: Path, separator: str = "\t") -> None:
    suffix = "tsv" if separator == "\t" else "csv"
    write_table(root / f"audioset_train_strong.{suffix}", ["balanced_train", "unbalanced_train"], separator)
    write_table(root / f"audioset_eval_strong.{suffix}", ["eval"], separator)


def write_segments(root: Path) -> None:
    """The official labels of whole clips."""
    for split, videos in SEGMENTS.items():
        head = [
            "# Segments csv created Sun Mar  5 10:54:31 2017",
            f"# num_ytids={len(videos)}, num_segs={len(videos)}, num_unique_labels=527, num_positive_labels=9",
            "# YTID, start_seconds, end_seconds, positive_labels",
        ]
        rows = [
            f'{video}, {start:.3f}, {start + 10:.3f}, "{",".join(labels)}"'
            for video, (start, _, labels) in videos.items()
        ]
        (root / f"{split}_segments.csv").write_text("\n".join(head + rows) + "\n")


def target(labels: Iterable[str]) -> np.ndarray:
    names = {display(mid) for mid in labels}
    return np.array([label in names for label in audioset_labels("weak")], dtype=np.float32)


def write_hdf5(root: Path, files: dict[str, bytes], splits: Iterable[str] = SEGMENTS, folder: str = "audio/") -> None:
    """`*_segments_mp3.hdf` as published: names with a folder before them, mp3 bytes, packed targets."""
    for split in splits:
        videos = SEGMENTS[split]
        path = root / f"{split}_segments_mp3.hdf"
        path.unlink(missing_ok=True)
        with h5py.File(path, "w") as file:
            file["audio_name"] = np.array([f"{folder}Y{video}.mp3".encode() for video in videos], dtype="S40")
            mp3s = file.create_dataset("mp3", (len(videos),), dtype=h5py.vlen_dtype(np.uint8))
            for row, video in enumerate(videos):
                mp3s[row] = np.frombuffer(files[video], np.uint8)
            file["target"] = np.packbits(
                np.stack([target(labels) for _, _, labels in videos.values()]).astype(bool), axis=-1
            )


def write_arrow(
    root: Path, files: dict[str, bytes], task: str = "strong", splits: Iterable[str] = SEGMENTS, as_one: bool = True
) -> None:
    """What the published scripts save: a DatasetDict, or one folder per split."""
    import datasets

    features: dict[str, Any] = {"filename": datasets.Value("string"), "mp3_bytes": datasets.Value("binary")}
    if task == "strong":
        event = {name: datasets.Value("string") for name in ("event_label", "event_label_id")} | {
            name: datasets.Value("float32") for name in ("onset", "offset")
        }
        words = datasets.Sequence(datasets.Value("string"))
        features |= {
            "filepath": datasets.Value("string"),
            "labels": words,
            "label_ids": words,
            "events": datasets.Sequence(event),
        }
    else:
        features |= {"target": datasets.Sequence(datasets.Value("float32"))}
    made = {}
    for split in splits:
        rows = []
        for video, (_, events, labels) in SEGMENTS[split].items():
            row: dict[str, Any] = {"filename": clip_id(f"Y{video}.mp3"), "mp3_bytes": files[video]}
            if task == "strong":
                row |= {
                    "filepath": f"/share/audio/Y{video}.mp3",
                    "labels": [display(mid) for mid in labels],
                    "label_ids": list(labels),
                }
                onsets, offsets, mids = zip(*events, strict=True)
                row["events"] = {
                    "event_label": [display(mid) for mid in mids],
                    "event_label_id": list(mids),
                    "onset": list(onsets),
                    "offset": list(offsets),
                }
            else:
                row["target"] = target(labels)
            rows.append(row)
        made[split] = datasets.Dataset.from_list(rows, features=datasets.Features(features))
    datasets.disable_progress_bars()
    if as_one:
        datasets.DatasetDict(made).save_to_disk(root)
    else:
        for split, data in made.items():
            data.save_to_disk(root / split, num_shards=2)


def write_folder(
    root: Path, files: dict[str, bytes], suffix: str = "mp3", folders: tuple[str, str] = ("audio", "audio")
) -> None:
    """Loose files; `folders` are those of training and evaluation. Other kinds than mp3 are decoded from it first."""
    for split, videos in SEGMENTS.items():
        folder = root / folders[split == "eval"]
        folder.mkdir(parents=True, exist_ok=True)
        for video in videos:
            if suffix == "mp3":
                (folder / f"Y{video}.mp3").write_bytes(files[video])
            else:
                samples, rate = soundfile.read(io.BytesIO(files[video]))
                soundfile.write(folder / f"Y{video}.{suffix}", samples, rate)
