"""A few short clips in the layouts in which DESED and MAESTRO Real are published; some are missing, as in reality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

SECONDS, RATE = 1.0, 16_000
NUM_WEAK = 20  # rows of weak.tsv, of which the first has no file
EVENTS = "filename\tonset\toffset\tevent_label\n"


def write_noise(path: Path, seconds: float = SECONDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(len(path.name)).uniform(-0.1, 0.1, round(seconds * RATE)), RATE)


def write_strong(root: Path, audio: str, table: str, rows: Sequence[str], missing: Sequence[str] = ()) -> None:
    path = root / "metadata" / table
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(EVENTS + "".join(f"{row}\n" for row in rows))
    for name in {row.split("\t")[0] for row in rows} - set(missing):
        write_noise(root / "audio" / audio / name)


def write_desed(root: Path, ending: str = "") -> Path:
    """Every subset; `ending` is that of the folders of audio, such as _16k."""
    write_strong(
        root, f"train/synthetic21_train/soundscapes{ending}", "train/synthetic21_train/soundscapes.tsv",
        [f"{number}.wav\t0.2\t0.6\t{label}" for number, label in enumerate(("Dog", "Cat", "Speech", "Blender"))],
    )  # fmt: skip
    write_strong(
        root, f"train/strong_label_real{ending}", "train/audioset_strong.tsv",
        ["Ys0_0.000_10.000.wav\t0.1\t0.5\tDog", "Ys0_0.000_10.000.wav\t0.3\t0.9\tSpeech",
         "Ys1_0.000_10.000.wav\t0.0\t0.5\tFrying", "Ygone_0.000_10.000.wav\t0.0\t0.5\tCat"],
        missing=["Ygone_0.000_10.000.wav"],
    )  # fmt: skip
    weak = [f"Yw{number}_30.000_40.000.wav\tDishes,Cat\n" for number in range(NUM_WEAK)]
    (root / "metadata" / "train" / "weak.tsv").write_text("filename\tevent_labels\n" + "".join(weak))
    for number in range(1, NUM_WEAK):
        write_noise(root / "audio" / f"train/weak{ending}" / f"Yw{number}_30.000_40.000.wav")
    for number in range(3):
        write_noise(root / "audio" / f"train/unlabel_in_domain{ending}" / f"Yu{number}_0.000_10.000.wav")
    write_strong(
        root, f"validation/synthetic21_validation/soundscapes{ending}",
        "validation/synthetic21_validation/soundscapes.tsv", ["0.wav\t0.2\t0.6\tDog", "1.wav\t0.3\t0.5\tCat"],
    )  # fmt: skip
    write_strong(
        root, f"validation/validation{ending}", "validation/validation.tsv",
        ["Yv0_0.000_10.000.wav\t0.2\t1.115\tVacuum_cleaner", "Yv1_0.000_10.000.wav\t\t\t"],
    )  # fmt: skip
    write_strong(root, f"eval/public{ending}", "eval/public.tsv", ["Yp0_0.000_10.000.wav\t0.2\t0.4\tRunning_water"])
    return root


MAESTRO: Mapping[str, str] = {
    "cafe_restaurant_00": "0\t1\tfootsteps\t0.4\n1\t2\tfootsteps\t0.4\n2\t3\tpeople talking\t0.75\n"
    "2\t3\tannouncement\t0.9\n",
    "city_center_08": "0\t1\tcar\t0.5\n1\t2\tcar\t0.8\n2\t3\tcar\t0.49\n",
    "metro_station_06": "0\t1\tmetro leaving\t1.0\n1\t2\tcoffee machine\t0.6\n",
}
"""Soft labels of one recording to train on, one for validation and one to test on."""


def write_maestro(root: Path, seconds: float = 3.0) -> Path:
    """As published: a folder for each place, one file of labels for each recording."""
    for name, rows in MAESTRO.items():
        place = name.rpartition("_")[0]
        write_noise(root / "development_audio" / place / f"{name}.wav", seconds)
        folder = root / "development_annotation" / f"soft_labels_{place}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(rows)
    return root


def write_maestro_pieces(root: Path, seconds: float = 1.0) -> Path:
    """As the baseline of DCASE 2024 prepares it: pieces of ten seconds (here shorter), one each second."""
    for table, names in {
        "train": ("cafe_restaurant_00", "city_center_08"),
        "validation": ("metro_station_06",),
    }.items():
        rows = ["filename\tonset\toffset\tevent_label\tconfidence"]
        for name in names:
            for start in (0, 1, 10):
                piece = f"{name}-{100 * start:06}-{100 * start + 1000:06}.wav"
                write_noise(root / "audio" / f"maestro_real_{table}_16k" / piece, seconds)
                rows.append(f"{piece}\t0.0\t1.0\tcar\t0.6")
        (root / "metadata").mkdir(parents=True, exist_ok=True)
        (root / "metadata" / f"maestro_real_{table}.tsv").write_text("\n".join(rows) + "\n")
    return root
