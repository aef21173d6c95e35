"""What decides a training on some data stays the same when they are moved, and changes with their content."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from efficient_sed.data import content
from efficient_sed.data.content import content_identity, fingerprint
from efficient_sed.data.sets.folder import FolderConfig
from efficient_sed.errors import DataError
from efficient_sed.registry import DATASETS

TABLE = "filename\tonset\toffset\tevent_label\n{name}.wav\t0.1\t0.3\tdog\n"


@pytest.fixture
def own(tmp_path: Path) -> FolderConfig:
    folder = tmp_path / "own"
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "validation", "test"):
        (folder / f"{part}.tsv").write_text(TABLE.format(name=part))
        soundfile.write(folder / "audio" / f"{part}.wav", rng.normal(size=8000) * 0.1, 16_000)
    return FolderConfig(root=str(folder), num_workers=0)


def identity(config: FolderConfig) -> dict[str, object]:
    return content_identity(config, config.load())


def test_moved_is_the_same(own: FolderConfig, tmp_path: Path) -> None:
    before = identity(own)
    moved = shutil.move(own.root, tmp_path / "elsewhere")
    assert identity(replace(own, root=str(moved), num_workers=1)) == before


def test_content_and_options_decide(own: FolderConfig, tmp_path: Path) -> None:
    found = [identity(own), identity(replace(own, clip_seconds=5.0)), identity(replace(own, train=None))]
    teacher = tmp_path / "teacher.h5"
    for text in ("one", "two"):
        teacher.write_text(text)
        found.append(content_identity(replace(own, pseudo_labels=str(teacher)), own.load()))
    (Path(own.root) / "train.tsv").write_text(TABLE.format(name="train").replace("0.3", "0.4"))
    found.append(identity(own))
    soundfile.write(Path(own.root) / "audio" / "test.wav", np.zeros(8000), 16_000)
    found.append(identity(own))
    assert all(first != second for index, first in enumerate(found) for second in found[:index])


def test_a_teacher_of_the_same_content_elsewhere(own: FolderConfig, tmp_path: Path) -> None:
    splits = own.load()
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).write_bytes(b"logits")
    first, second = (
        content_identity(replace(own, pseudo_labels=str(tmp_path / name)), splits) for name in ("a.h5", "b.h5")
    )
    assert first == second
    with pytest.raises(DataError, match=r"^data\.pseudo_labels=.*absent: cannot be read \(No such file"):
        content_identity(replace(own, pseudo_labels=str(tmp_path / "absent")), splits)


@pytest.mark.parametrize("changed", ["first", "last", "size"])
def test_fingerprints_of_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", 16)
    data = bytearray(np.random.default_rng(0).bytes(16 * 64 + 777))
    (tmp_path / "a").write_bytes(data)
    before = fingerprint("pseudo_labels", tmp_path / "a")
    if changed == "size":
        data += b"x"
    else:
        data[{"first": 0, "last": -1}[changed]] ^= 1
    (tmp_path / "b").write_bytes(data)
    assert fingerprint("pseudo_labels", tmp_path / "b") != before
    assert fingerprint("pseudo_labels", tmp_path / "a") == before


@pytest.mark.parametrize("size", [0, 1, 16, 17, 16 * 64, 16 * 64 + 1, 10_000])
def test_every_size_is_covered(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", 16)
    places = content._places(size)
    assert len(places) <= content.NUM_BLOCKS
    assert places == sorted(set(places))
    if size:
        assert places[0] == 0
        assert places[-1] < size <= places[-1] + 16


def test_location_keys_are_options() -> None:
    names = DATASETS.names()
    assert len(names) >= 10
    for name in names:
        entry = DATASETS.get(name)
        assert set(entry.location_keys) <= {field.name for field in fields(entry)}, name
