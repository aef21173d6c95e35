"""Annotations of the data sets: text tables, JSON and file names beside a few sounds."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from efficient_sed.config.parse import from_dict
from efficient_sed.data.sets.esc50 import Esc50Config
from efficient_sed.data.sets.urbansound8k import UrbanSound8kConfig
from efficient_sed.registry import DATASETS
from reliability.inputs import Kind, check_splits
from reliability.mutations import TEXTS, damaged_json, damaged_table

SECONDS = 0.5
BARK, SPEECH, MUSIC = "/m/05tny_", "/m/09x0r", "/m/04rlf"
VIDEOS = ("--aaaaaaaaa", "Yb_bbbbbbbb", "ccccccccccc", "ddddddddddd")


def write_sound(path: Path) -> None:
    """Half a second of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, int(SECONDS * 16_000)), 16_000)


def prepare_folder(folder: Path) -> None:
    """Own recordings."""
    for part in ("train", "validation", "test"):
        rows = [
            f"{part}_0.wav\t0.0\t0.2\tdog",
            f"{part}_0.wav\t0.1\t0.5\tcat",
            f"{part}_1.wav\t0.05\t0.25\tdog",
            f"{part}_2.wav\t\t\t",
        ]
        (folder / f"{part}.tsv").write_text("\n".join(["filename\tonset\toffset\tevent_label", *rows]) + "\n")
        for index in range(3):
            write_sound(folder / "audio" / f"{part}_{index}.wav")


def _prepare_dcase(folder: Path) -> None:
    (folder / "labelvocabulary.csv").write_text("idx,label\n0,cough\n1,keys\n")
    for part in ("train", "valid", "test"):
        events = [{"label": "cough", "start": 100.0, "end": 250.0}, {"label": "keys", "start": 200, "end": 450}]
        (folder / f"{part}.json").write_text(json.dumps({f"{part}_0.wav": events, f"{part}_1.wav": []}))
        for index in range(2):
            write_sound(folder / "16000" / part / f"{part}_{index}.wav")


def _prepare_tut(folder: Path) -> None:
    (folder / "meta").mkdir()
    for number in range(1, 6):
        write_sound(folder / "audio" / f"TUT-SED-synthetic-2016-mix-{number}.wav")
        (folder / "meta" / f"TUT-SED-synthetic-2016-annot-{number}.txt").write_text(
            "0.1\t0.3\tdog_barking\n0.25\t0.5\train\n"
        )


def _prepare_esc50(folder: Path) -> None:
    rows = [
        f"{fold}-{target}-A-{target}.wav,{fold},{target},{Esc50Config.classes[target]}"
        for fold in range(1, 6)
        for target in (0, 49)
    ]
    for row in rows:
        write_sound(folder / "audio" / row.split(",")[0])
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text("\n".join(["filename,fold,target,category", *rows]) + "\n")


def _prepare_urbansound8k(folder: Path) -> None:
    rows = [
        f"{1000 + fold}-{fold % 10}-0-0.wav,{fold},{fold % 10},{UrbanSound8kConfig.classes[fold % 10]}"
        for fold in range(1, 11)
    ]
    for row in rows:
        write_sound(folder / "audio" / f"fold{row.split(',')[1]}" / row.split(",")[0])
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text(
        "\n".join(["slice_file_name,fold,classID,class", *rows]) + "\n"
    )


def _prepare_ravdess(folder: Path) -> None:
    for actor in range(1, 25, 6):
        write_sound(folder / f"Actor_{actor:02}" / f"03-01-05-01-02-01-{actor:02}.wav")


def _prepare_audioset(folder: Path) -> None:
    for video in VIDEOS:
        write_sound(folder / "audio" / f"Y{video}.wav")
    for side, videos in (("train", VIDEOS[:2]), ("eval", VIDEOS[2:])):
        rows = [
            f"{video}_30000\t{onset}\t{offset}\t{mid}"
            for video in videos
            for onset, offset, mid in ((0.0, 0.2, BARK), (0.1, 0.4, SPEECH))
        ]
        (folder / f"audioset_{side}_strong.tsv").write_text(
            "\n".join(["segment_id\tstart_time_seconds\tend_time_seconds\tlabel", *rows]) + "\n"
        )
    for split, own in (("balanced_train", VIDEOS[:1]), ("unbalanced_train", VIDEOS[1:2]), ("eval", VIDEOS[2:])):
        lines = [f'{video}, 30.000, 40.000, "{BARK},{MUSIC}"' for video in own]
        (folder / f"{split}_segments.csv").write_text(
            "\n".join(["# YTID, start_seconds, end_seconds, positive_labels", *lines]) + "\n"
        )


def load(name: str, root: Path, rng: random.Random) -> bool:
    """Open the data set, and check what it says."""
    options = {"on_error": rng.choice(("raise", "skip")), "num_workers": 1}
    check_splits(from_dict(DATASETS.get(name), {"root": str(root), **options}).load(), root)
    return True


def _attempt(name: str, pattern: str, rng: random.Random, folder: Path) -> bool:
    path = rng.choice(sorted(folder.glob(pattern)))
    original = path.read_text()
    if path.suffix == ".json":
        data = damaged_json(original, rng)
    else:
        data = damaged_table(original, "\t" if "\t" in original else ",", rng)
    path.write_bytes(data)
    try:
        return load(name, folder, rng)
    finally:
        path.write_text(original)


def _attempt_names(rng: random.Random, folder: Path) -> bool:
    """RAVDESS says everything in names of files."""
    path = rng.choice(sorted(folder.glob("Actor_*/*.wav")))
    characters = list(path.name)
    for _ in range(rng.choice((1, 2))):
        characters[rng.randrange(len(characters))] = rng.choice((*"0123456789-.", *TEXTS))
    name = (
        "".join(characters)
        .replace("/", "")
        .replace("\0", "")
        .encode("utf-8", "surrogatepass" if rng.random() < 0.1 else "replace")
        .decode("utf-8", "replace")[:100]
    )
    renamed = path.with_name(name.strip(".") or "x")
    path.rename(renamed)
    try:
        return load("ravdess", folder, rng)
    finally:
        renamed.rename(path)


csv.field_size_limit()  # as it is by default: fields beyond it are part of what is tried
_PREPARED: list[tuple[str, str, str, float, Callable[[Path], None]]] = [
    ("folder", "own recordings (TSV)", "*.tsv", 6, prepare_folder),
    ("dcase2016_task2", "DCASE 2016 (JSON, CSV)", "*.[jc]s*", 5, _prepare_dcase),
    ("tut_sed_synthetic_2016", "TUT-SED Synthetic (text)", "meta/*.txt", 3, _prepare_tut),
    ("esc50", "ESC-50 (CSV)", "meta/*.csv", 3, _prepare_esc50),
    ("urbansound8k", "UrbanSound8K (CSV)", "metadata/*.csv", 3, _prepare_urbansound8k),
    ("audioset_strong", "AudioSet Strong (TSV)", "*.tsv", 4, _prepare_audioset),
    ("audioset_weak", "AudioSet (CSV)", "*_segments.csv", 4, _prepare_audioset),
]
ANNOTATIONS = [
    *(
        Kind(name, title, share, prepare, partial(_attempt, name, pattern))
        for name, title, pattern, share, prepare in _PREPARED
    ),
    Kind("ravdess", "RAVDESS (names of files)", 2, _prepare_ravdess, _attempt_names),
]
