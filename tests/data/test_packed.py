"""A packed copy is the data set it was made of, rounded to 16 bits."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import soundfile
import torch
from audioset_files import VIDEOS, mp3, mp3_files, write_hdf5, write_tables

from efficient_sed.cli import main
from efficient_sed.data import _packing
from efficient_sed.data.audioset_strong import AudioSetStrongConfig
from efficient_sed.data.events import PARTS, Splits
from efficient_sed.data.packed import PackedConfig
from efficient_sed.data.sources import AudioSource
from efficient_sed.data.synthetic import SyntheticConfig
from efficient_sed.errors import DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hdf5")
    write_hdf5(folder, mp3_files() | {VIDEOS[0]: mp3(0, 10.0)})
    write_tables(folder)
    return folder


@pytest.fixture(scope="module")
def packed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "packed.h5"
    assert main(["data", "pack", "data=audioset_strong", f"data.root={root}", "data.num_workers=0", str(path)]) == 0
    return path


def load(path: Path) -> Splits:
    return PackedConfig(root=str(path)).load()


def assert_same(packed: Splits, original: Splits) -> None:
    assert (packed.classes, packed.evaluated_classes, packed.expected) == (original.classes, original.evaluated_classes, original.expected)
    for part in PARTS:
        for clip, other in zip(getattr(packed, part), getattr(original, part), strict=True):
            assert replace(clip, audio=None) == replace(other, audio=None)  # type: ignore[arg-type]
            samples = other.audio.read()
            peak = max(1.0, float(samples.abs().max()))
            torch.testing.assert_close(clip.audio.read(), samples, atol=0.51 * peak / 32767, rtol=0)
            if clip.duration_s > 1.5:
                torch.testing.assert_close(clip.audio.read(0.48, 1), other.audio.read(0.48, 1), atol=0.01, rtol=0)  # mp3 cannot be entered exactly


def test_audioset(packed: Path, root: Path) -> None:
    original = AudioSetStrongConfig(root=str(root), num_workers=0).load()
    assert_same(load(packed), original)
    assert load(packed).manifest_hash == load(packed).manifest_hash != original.manifest_hash


def test_synthetic(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    result = _packing.pack_data(tiny_config, tmp_path / "a.h5")
    assert (result.num_clips, result.unreadable) == (16, [])
    assert_same(load(tmp_path / "a.h5"), tiny_data)


def test_beyond_full_scale(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for part in PARTS:
        soundfile.write(tmp_path / f"audio/{part}.wav", np.linspace(-1.7, 1.7, 16_000), 16_000, subtype="FLOAT")
        (tmp_path / f"{part}.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{part}.wav\t0\t1\tdog\n")
    assert main(["data", "pack", "data=folder", f"data.root={tmp_path}", "data.num_workers=0", str(tmp_path / "a.h5")]) == 0
    np.testing.assert_allclose(load(tmp_path / "a.h5").train[0].audio.read(), np.linspace(-1.7, 1.7, 16_000), atol=1.7 / 32767)


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_other_processes(packed: Path, context: str) -> None:
    clips = load(packed).train
    here = [checksum(clip.audio) for clip in clips]
    with ProcessPoolExecutor(2, multiprocessing.get_context(context), torch.set_num_threads, (1,)) as pool:  # as DataLoader does: OpenMP does not survive a fork
        assert list(pool.map(checksum, [clip.audio for clip in clips] * 2)) == here * 2


def checksum(audio: AudioSource) -> float:
    return float(audio.read().double().sum())


def test_unreadable_clips_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = mp3(0, 10.0)
    write_hdf5(tmp_path, mp3_files() | {VIDEOS[0]: whole[: len(whole) // 2]})
    write_tables(tmp_path)
    words = ["data", "pack", "data=audioset_strong", f"data.root={tmp_path}", "data.num_workers=0", str(tmp_path / "a.h5")]
    assert main(words) == 2
    assert "Y--aaaaaaaaa.mp3: damaged audio" in capsys.readouterr().err
    assert not list(tmp_path.glob("*a.h5*"))
    assert main([*words, "data.on_error=skip"]) == 0
    assert "left out: 1" in capsys.readouterr().out
    assert len(load(tmp_path / "a.h5").train) == 4


def spoil(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "a") as file:
            change(file)

    return write


BAD: list[tuple[str, Callable[[Path], Any], str]] = [
    ("missing", Path.unlink, r"data\.root={path}: no such file; write it with: efficient-sed data pack data=… {path}"),
    ("truncated", lambda path: path.write_bytes(path.read_bytes()[:-5000]), r"{path}: not readable as HDF5 \(.*truncated file.*\); copy the file again"),
    ("text", lambda path: path.write_text("hello"), r"{path}: not readable as HDF5 .*"),
    ("other HDF5", spoil(lambda file: file.attrs.pop("format")), r"{path}: an HDF5 file, but not one that `efficient-sed data pack` wrote"),
    ("other version", spoil(lambda file: file.attrs.modify("version", 2)), r"{path}: packed in version 2 of the format, this is for version 1; pack the data set again"),
    ("a table missing", spoil(lambda file: file.pop("event_class")), r"{path}: damaged \(.*event_class.*\); pack the data set again"),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_files(packed: Path, tmp_path: Path, change: Callable[[Path], Any], message: str) -> None:
    path = tmp_path / "spoiled.h5"
    path.write_bytes(packed.read_bytes())
    change(path)
    with pytest.raises(DataError, match=f"^{message.replace('{path}', str(path))}$") as caught:
        load(path)
    assert "\n" not in str(caught.value)


class Usage(NamedTuple):
    free: int


def test_mistakes(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = ["data=packed", f"data.root={packed}", "data.num_workers=0"]

    def refused(*words: str) -> str:
        assert main(["data", *words]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        return err

    (tmp_path / "there.h5").touch()
    assert "data pack takes one OUT.h5 beside key=value pairs, got none" in refused("pack", *data)
    assert "got a.h5 b.h5" in refused("pack", *data, "a.h5", "b.h5")
    assert f"{tmp_path}/there.h5: is there already; give another name, or --force" in refused("pack", *data, f"{tmp_path}/there.h5")
    assert f"{tmp_path}: is there already; give another name" in refused("pack", *data, "--force", str(tmp_path))
    assert "--force and --shard-gb belong to: efficient-sed data pack" in refused("check", *data, "--force")
    assert "--manifest and --classes belong to: efficient-sed data check" in refused("pack", *data, "--classes")
    with monkeypatch.context() as patch:
        patch.setattr("efficient_sed.data._packing.shutil.disk_usage", lambda _: Usage(1000))
        message = refused("pack", *data, f"{tmp_path}/new.h5")
        assert f"{tmp_path}/new.h5: needs" in message
        assert "1e-06 GB free" in message
    assert main(["data", "pack", *data, "--force", f"{tmp_path}/there.h5"]) == 0
    assert_same(load(tmp_path / "there.h5"), load(packed))


def test_another_rate_is_refused_before_training(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "experiment=dnd", "data=packed", f"data.root={packed}", f"output_dir={tmp_path}", "train.accelerator=cpu", "data.num_workers=0"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"efficient-sed: {packed}: packed at 16000 Hz, the model hears 44100 Hz; give data=… and data.root=DIR of the recordings themselves"
    )
    with pytest.raises(DataError, match="the model hears 22050 Hz"):
        load(packed).train[0].audio.read(sample_rate=22_050)


def test_full_disk(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file-size limit stops the write as a full disk would."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert main(["data", "pack", "data=packed", f"data.root={packed}", "data.num_workers=0", str(tmp_path / "a.h5")]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    err = capsys.readouterr().err
    assert err.startswith(f"efficient-sed: {tmp_path}/a.h5: cannot be written (")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
