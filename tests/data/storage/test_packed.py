"""A packed copy is the data set it was made of, rounded to 16 bits."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Sequence
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
from damage import spoiled_flac

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.cli.main import main
from efficient_sed.data.check import summarise
from efficient_sed.data.dataset import TrainingClips
from efficient_sed.data.events import PARTS, Clip, Splits
from efficient_sed.data.samplers import weights_by_clips, weights_by_frames
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.data.sets.packed import PackedConfig
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.data.storage import packed_file, packing
from efficient_sed.data.storage.columns import durations, select
from efficient_sed.data.storage.packed_file import PackedFile
from efficient_sed.data.storage.packed_splits import COLUMNS
from efficient_sed.data.storage.sources import AudioSource
from efficient_sed.errors import DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hdf5")
    write_hdf5(folder, mp3_files() | {VIDEOS[0]: mp3(0, 24.0)})
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
    assert (packed.classes, packed.evaluated_classes, packed.expected) == (
        original.classes,
        original.evaluated_classes,
        original.expected,
    )
    assert packed.overhang == original.overhang
    for part in PARTS:
        for clip, other in zip(getattr(packed, part), getattr(original, part), strict=True):
            assert replace(clip, audio=None) == replace(other, audio=None)  # type: ignore[arg-type]
            samples = other.audio.read()
            peak = max(1.0, float(samples.abs().max()))
            torch.testing.assert_close(clip.audio.read(), samples, atol=0.51 * peak / 32767, rtol=0)
            if clip.duration_s > 1.5:
                torch.testing.assert_close(
                    clip.audio.read(0.48, 1), other.audio.read(0.48, 1), atol=0.01, rtol=0
                )  # mp3 cannot be entered exactly


def test_audioset(packed: Path, root: Path) -> None:
    original = AudioSetStrongConfig(root=str(root), num_workers=0).load()
    assert_same(load(packed), original)
    assert load(packed).manifest_hash == load(packed).manifest_hash != original.manifest_hash


def test_synthetic(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    result = packing.pack_data(tiny_config, tmp_path / "a.h5")
    assert (result.num_clips, result.unreadable) == (16, [])
    assert_same(load(tmp_path / "a.h5"), tiny_data)


def test_beyond_full_scale(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for part in PARTS:
        soundfile.write(tmp_path / f"audio/{part}.wav", np.linspace(-1.7, 1.7, 16_000), 16_000, subtype="FLOAT")
        (tmp_path / f"{part}.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{part}.wav\t0\t1\tdog\n")
    assert (
        main(["data", "pack", "data=folder", f"data.root={tmp_path}", "data.num_workers=0", str(tmp_path / "a.h5")])
        == 0
    )
    np.testing.assert_allclose(
        load(tmp_path / "a.h5").train[0].audio.read(), np.linspace(-1.7, 1.7, 16_000), atol=1.7 / 32767
    )


@pytest.mark.parametrize("context", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.long)])
@pytest.mark.slow
def test_other_processes(packed: Path, context: str) -> None:
    clips = load(packed).train
    here = [checksum(clip.audio) for clip in clips]
    with ProcessPoolExecutor(
        2, multiprocessing.get_context(context), torch.set_num_threads, (1,)
    ) as pool:  # as DataLoader does: OpenMP does not survive a fork
        assert list(pool.map(checksum, [clip.audio for clip in clips] * 2)) == here * 2


def checksum(audio: AudioSource) -> float:
    return float(audio.read().double().sum())


def test_unreadable_clips_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_hdf5(tmp_path, mp3_files() | {VIDEOS[0]: spoiled_flac(10.0)})
    write_tables(tmp_path)
    words = [
        "data",
        "pack",
        "data=audioset_strong",
        f"data.root={tmp_path}",
        "data.num_workers=0",
        str(tmp_path / "a.h5"),
    ]
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


def put(offset: int, data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:offset] + data + whole[offset + len(data) :])

    return write


BAD: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "an address beyond any file",
        put(48, b"\xf0" * 8),
        r"{path}: not readable as HDF5 \(Python int too large.*\); copy the file again",
    ),
    (
        "an address of nothing",
        put(69, b"\x80" + bytes(6) + b"\x80"),
        r"{path}: not readable as HDF5 .*; copy the file again",
    ),
    ("missing", Path.unlink, r"data\.root={path}: no such file; write it with: efficient-sed data pack data=… {path}"),
    (
        "truncated",
        lambda path: path.write_bytes(path.read_bytes()[:-5000]),
        r"{path}: not readable as HDF5 \(.*truncated file.*\); copy the file again",
    ),
    ("text", lambda path: path.write_text("hello"), r"{path}: not readable as HDF5 .*"),
    (
        "other HDF5",
        spoil(lambda file: file.attrs.pop("format")),
        r"{path}: an HDF5 file, but not one that `efficient-sed data pack` wrote",
    ),
    (
        "other version",
        spoil(lambda file: file.attrs.modify("version", 1)),
        r"{path}: packed in version 1 of the format, this is for version 2; pack the data set again",
    ),
    (
        "a table missing",
        spoil(lambda file: file.pop("event_class")),
        r"{path}: damaged \(.*event_class.*\); pack the data set again",
    ),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_files(packed: Path, tmp_path: Path, change: Callable[[Path], Any], message: str) -> None:
    path = tmp_path / "spoiled.h5"
    path.write_bytes(packed.read_bytes())
    change(path)
    with pytest.raises(DataError, match=f"^{message.replace('{path}', str(path))}$") as caught:
        load(path)
    assert "\n" not in str(caught.value)


BAD_COLUMNS: list[tuple[str, Callable[[Any], Any], str]] = [
    (
        "a class beyond the list",
        lambda file: file["event_class"].__setitem__(0, 447),
        "an event is of a class beyond the 447",
    ),
    (
        "events of nobody",
        lambda file: file["event_first"].__setitem__(1, 10**6),
        "its events do not belong to its clips",
    ),
    ("a clip beyond the list", lambda file: file["train"].__setitem__(0, 99), "train names clips that are not there"),
    (
        "no duration",
        lambda file: file["duration_s"].__setitem__(0, np.nan),
        "a clip's scale is below 1, or it is not as long as its duration",
    ),
    ("samples beyond the file", lambda file: file["first"].__setitem__(1, 10**7), "a clip is not within the samples"),
    ("no samples", lambda file: file["length"].__setitem__(0, 0), "a clip is not within the samples"),
    (
        "a length beyond numbers",
        lambda file: file["duration_s"].__setitem__(0, 1e308),
        "a clip's scale is below 1, or it is not as long as its duration",
    ),
    (
        "classes that are numbers",
        lambda file: (file.pop("classes"), file.create_dataset("classes", data=np.arange(447))),
        "'classes' holds entries of type int64",
    ),
    ("no text", lambda file: file["id"].__setitem__(0, b"\xff\xfe"), "'utf-8' codec can't decode .*"),
]


@pytest.mark.parametrize(("change", "reason"), [row[1:] for row in BAD_COLUMNS], ids=[row[0] for row in BAD_COLUMNS])
def test_bad_columns_are_refused_before_training(
    packed: Path, tmp_path: Path, change: Callable[[Any], Any], reason: str
) -> None:
    """Clips are made in data workers, hours later."""
    path = tmp_path / "spoiled.h5"
    path.write_bytes(packed.read_bytes())
    spoil(change)(path)
    with pytest.raises(DataError, match=rf"^{path}: damaged \({reason}\); pack the data set again$"):
        load(path)


@pytest.fixture(scope="module")
def shards(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "packed"
    assert (
        main(
            [
                "data",
                "pack",
                "data=packed",
                f"data.root={packed}",
                "data.num_workers=0",
                str(folder),
                "--shard-gb",
                "0.00064",
            ]
        )
        == 0
    )
    return folder


def test_shards_are_the_same_data(packed: Path, shards: Path) -> None:
    num_samples = [h5py.File(path)["samples"].size for path in sorted(shards.glob("shard_*.h5"))]
    longest = max(clip.audio.length for part in PARTS for clip in getattr(load(packed), part))
    assert len(num_samples) >= 3
    assert max(num_samples) == longest > 320_000  # no clip is cut
    assert sorted(num_samples)[-2] <= 320_000
    assert_same(load(shards), load(packed))
    assert load(shards).manifest_hash == load(packed).manifest_hash == load(shards).hash_clips()


def test_known_hash_is_that_of_the_clips(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read at every start, and computed by `data check`. A file of before has none."""
    assert load(packed).known_hash == load(packed).hash_clips()
    path = tmp_path / "other.h5"
    path.write_bytes(packed.read_bytes())
    spoil(lambda file: file.attrs.pop("manifest_hash"))(path)
    assert load(path).manifest_hash == load(packed).manifest_hash
    path.write_bytes(packed.read_bytes())
    spoil(lambda file: file["event_class"].__setitem__(0, 5))(path)
    assert main(["data", "check", "data=packed", f"data.root={path}", "data.num_workers=0"]) == 1
    assert "data=packed: clips or events were changed after packing (manifest hash" in capsys.readouterr().err


def test_force_replaces_whole_packed_files_of_any_version(
    packed: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["data=packed", f"data.root={packed}", "data.num_workers=0"]
    old = shutil.copy(packed, tmp_path / "old.h5")
    spoil(lambda file: file.attrs.modify("version", 1))(old)
    assert main(["data", "pack", *data, "--force", str(old)]) == 0
    several = shutil.copytree(shards, tmp_path / "shards")
    for path in several.iterdir():
        before = path.read_bytes()
        for source in (data, ["data=packed", f"data.root={several}", "data.num_workers=0"]):
            assert main(["data", "pack", *source, "--force", str(path)]) == 2
            assert f"{path}: --force replaces packed files, and this is none" in capsys.readouterr().err
        assert path.read_bytes() == before


def test_samples_that_are_not_those_that_were_packed(
    packed: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(root: Path) -> str:
        assert main(["data", "check", "data=packed", f"data.root={root}", "data.num_workers=0"]) == 1
        return capsys.readouterr().err

    one, several = shutil.copy(packed, tmp_path / "a.h5"), shutil.copytree(shards, tmp_path / "shards")
    place = load(one).train[0].audio
    with h5py.File(one, "a") as file:
        file["samples"][place.first : place.first + 10] = 0
    assert (
        check(one)
        == f"efficient-sed: {place}: its samples are not those that were packed; copy the file again, or pack the data"
        " set again\n"
    )
    first, second = sorted(several.glob("shard_*.h5"))[:2]
    with h5py.File(first, "a") as a, h5py.File(second, "a") as b:
        size = min(len(a["samples"]), len(b["samples"]))
        a["samples"][:size], b["samples"][:size] = b["samples"][:size], a["samples"][:size]
    assert check(several).count("its samples are not those that were packed") > 1


def test_bad_shards(packed: Path, shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(shards, folder)
    (folder / "shard_00001.h5").unlink()
    with pytest.raises(
        DataError, match=rf"^{folder}/shard_00001\.h5: no such file, though index\.h5 names it; copy the folder again$"
    ):
        load(folder)
    (folder / "shard_00001.h5").write_bytes(packed.read_bytes())
    spoil(lambda file: file.attrs.modify("manifest_hash", "0123456789abcdef"))(folder / "shard_00001.h5")
    with pytest.raises(
        DataError,
        match=(
            rf"^{folder}/shard_00001\.h5: belongs to another packed data set than index\.h5; copy the"
            r" folder again$"
        ),
    ):
        load(folder)
    (folder / "index.h5").unlink()
    with pytest.raises(
        DataError,
        match=(
            rf"^data\.root={folder}: no index\.h5 in this folder; write it with: efficient-sed data pack data=…"
            rf" {folder}$"
        ),
    ):
        load(folder)


def test_parts_are_lazy(packed: Path, shards: Path) -> None:
    """A part behaves as the tuple of its clips, makes them when asked, and crosses process borders small."""
    for path in (packed, shards):
        splits = load(path)
        whole = tuple(splits.train)
        assert (
            [splits.train[index] for index in range(len(whole))] == [*whole] == [*reversed([*reversed(splits.train)])]
        )
        assert splits.train[-1] == whole[-1]
        assert tuple(splits.train[1:3]) == whole[1:3]
        assert splits.train[1:3] == splits.train[1:3] != splits.train[:2]
        assert splits.validation == splits.test
        with pytest.raises(IndexError):
            splits.train[len(whole)]
        picked = select(splits.train, (index % 2 == 0 for index in range(len(whole))))
        assert tuple(picked) == whole[::2] == select(whole, (index % 2 == 0 for index in range(len(whole))))
        assert durations(picked).tolist() == durations(whole[::2]).tolist()
        sent = pickle.dumps(splits.train)
        assert len(sent) < 30_000  # 447 labels and some paths
        assert tuple(pickle.loads(sent)) == whole


def test_opening_looks_at_columns_piece_by_piece(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, read, lengths = load(packed), PackedFile.read, []

    def seen(file: PackedFile, name: str, first: int, last: int) -> np.ndarray:
        if name in COLUMNS and not name.startswith("event_"):
            lengths.append(last - first)
        return read(file, name, first, last)

    monkeypatch.setattr("efficient_sed.data.storage.packed_splits.BLOCK", 2)
    with monkeypatch.context() as patch:
        patch.setattr(PackedFile, "read", seen)
        again = load(packed)
    assert max(lengths) <= 2
    assert_same(again, whole)


def test_counts_over_columns_are_those_over_clips(packed: Path) -> None:
    for part in PARTS:
        lazy = getattr(load(packed), part)
        clips = tuple(lazy)
        np.testing.assert_array_equal(weights_by_frames(lazy, FrameGrid()), weights_by_frames(clips, FrameGrid()))
        np.testing.assert_array_equal(weights_by_clips(lazy), weights_by_clips(clips))
        assert summarise(lazy, load(packed).classes) == summarise(clips, load(packed).classes)


def test_a_replaced_file_is_not_mixed_with_what_was_loaded(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.h5"
    path.write_bytes(packed.read_bytes())
    clips = load(path).train
    expected = checksum(clips[0].audio)
    other = tmp_path / "new.h5"
    other.write_bytes(packed.read_bytes())
    other.replace(path)
    assert checksum(clips[0].audio) == expected  # this process holds the old one open
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        message = pool.submit(message_of, clips, 0).result()
    assert (
        message
        == f"{path}: was replaced since these data were loaded; start again, and give a packed file that is in use"
        " another name"
    )
    assert checksum(load(path).train[0].audio) == expected


def message_of(clips: Sequence[Clip], index: int) -> str:
    try:
        clips[index].audio.read()
    except DataError as error:
        return str(error)
    return ""


class Failing:
    """A file system that fails some times."""

    def __init__(self, times: int, code: int) -> None:
        self.left, self.code, self.pread = times, code, os.pread

    def __call__(self, *place: int) -> bytes:
        if self.left:
            self.left -= 1
            raise OSError(self.code, os.strerror(self.code))
        return self.pread(*place)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_failures_that_pass_are_waited_out(
    packed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(packed_file.time, "sleep", slept.append)
    clip = load(packed).train[0]
    expected = checksum(clip.audio)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", Failing(3, code))
        assert checksum(clip.audio) == expected
    assert slept == [0.1, 1.0, 5.0]
    assert f"{packed}: {clip.id}: {os.strerror(code)}; trying again in 0.1 s" in caplog.text
    monkeypatch.setattr(os, "pread", Failing(4, code))
    with pytest.raises(
        DataError,
        match=(
            rf"^{packed}: {clip.id}: cannot be read \({os.strerror(code)}\), tried 4 times; is its file system there\?$"
        ),
    ):
        clip.audio.read()


def test_failures_that_stay_name_the_clip(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a batch they are messages, which stop a training or, with data.on_error=skip, are counted."""
    monkeypatch.setattr(packed_file, "PAUSES_S", ())
    clips = load(packed).train
    training = TrainingClips(clips, load(packed).classes, FrameGrid(), 1.0, 0)
    name = clips[0].id
    monkeypatch.setattr(os, "pread", Failing(10**6, errno.EACCES))
    with pytest.raises(DataError, match=rf"^{packed} \(id\): cannot be read \(Permission denied\)$"):
        clips[0]
    assert training[0, 0] == f"{packed} (id): cannot be read (Permission denied)"
    monkeypatch.undo()
    clip = clips[0]
    monkeypatch.setattr(os, "pread", Failing(10**6, errno.EACCES))
    assert message_of([clip], 0) == f"{packed}: {name}: cannot be read (Permission denied)"


@pytest.mark.parametrize("is_mounted", [False, True])
def test_read_only_folders(shards: Path, tmp_path: Path, is_mounted: bool) -> None:
    """No lock is taken and nothing written beside the files, by several processes that read at once."""
    folder = tmp_path / "packed"
    shutil.copytree(shards, folder)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    if is_mounted:
        mounted = [["mount", "--bind", str(folder), str(folder)], ["mount", "-o", "remount,ro,bind", str(folder)]]
        if shutil.which("mount") is None or any(
            subprocess.run(words, capture_output=True, check=False).returncode for words in mounted
        ):
            pytest.skip("nothing can be mounted here")
    else:
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
    try:
        here = [checksum(clip.audio) for clip in load(folder).train]
        with ProcessPoolExecutor(4, multiprocessing.get_context("fork"), torch.set_num_threads, (1,)) as pool:
            assert all(found == here for found in pool.map(checksums, [str(folder)] * 8))
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def checksums(root: str) -> list[float]:
    return [checksum(clip.audio) for clip in load(Path(root)).train]


class Usage(NamedTuple):
    free: int


def test_mistakes(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ["data=packed", f"data.root={packed}", "data.num_workers=0"]

    def refused(*words: str) -> str:
        assert main(["data", *words]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        return err

    (tmp_path / "there.h5").touch()
    message = refused("pack", *data, "--shard-gb", "1", f"{tmp_path}/new.h5")
    assert (
        f"{tmp_path}/new.h5 is not allowed with --shard-gb: a folder without an ending, such as {tmp_path}/new"
        in message
    )
    assert "--shard-gb 0 is not allowed: a number above 0" in refused(
        "pack", *data, "--shard-gb", "0", f"{tmp_path}/new"
    )
    assert "--force and --shard-gb belong to: efficient-sed data pack" in refused("check", *data, "--shard-gb", "1")
    assert "data pack takes one OUT.h5 beside key=value pairs, got none" in refused("pack", *data)
    assert "got a.h5 b.h5" in refused("pack", *data, "a.h5", "b.h5")
    assert f"{tmp_path}/there.h5: is there already; give another name, or --force" in refused(
        "pack", *data, f"{tmp_path}/there.h5"
    )
    assert "--shard-gb nan is not allowed" in refused("pack", *data, "--shard-gb", "nan", f"{tmp_path}/new")
    assert f"{packed}: is what would be packed; give another name" in refused("pack", *data, "--force", str(packed))
    (tmp_path / "train.tsv").write_text("filename\tonset\n")
    assert f"{tmp_path}/train.tsv: --force replaces packed files, and this is none" in refused(
        "pack", *data, "--force", f"{tmp_path}/train.tsv"
    )
    assert (tmp_path / "train.tsv").read_text() == "filename\tonset\n"
    assert f"{tmp_path}: is there already; give another name" in refused("pack", *data, "--force", str(tmp_path))
    assert "--force and --shard-gb belong to: efficient-sed data pack" in refused("check", *data, "--force")
    assert "--manifest and --classes belong to: efficient-sed data check" in refused("pack", *data, "--classes")
    with monkeypatch.context() as patch:
        patch.setattr("efficient_sed.files.folders.shutil.disk_usage", lambda _: Usage(1000))
        message = refused("pack", *data, f"{tmp_path}/new.h5")
        assert f"{tmp_path}/new.h5: cannot be written (it needs" in message
        assert "1e-06 GB free" in message
    assert main(["data", "pack", *data, "--force", f"{tmp_path}/there.h5"]) == 0
    assert_same(load(tmp_path / "there.h5"), load(packed))


def test_another_rate_is_refused_before_training(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "train",
                "experiment=dnd",
                "data=packed",
                f"data.root={packed}",
                f"output_dir={tmp_path}",
                "train.accelerator=cpu",
                "data.num_workers=0",
            ]
        )
        == 2
    )
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"efficient-sed: {packed}: packed at 16000 Hz, the model takes 44100 Hz; give data=… and data.root=DIR of"
        " the recordings themselves"
    )
    with pytest.raises(DataError, match="the model takes 22050 Hz"):
        load(packed).train[0].audio.read(sample_rate=22_050)


def test_full_disk(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file-size limit stops the write as a full disk would."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert (
            main(["data", "pack", "data=packed", f"data.root={packed}", "data.num_workers=0", str(tmp_path / "a.h5")])
            == 2
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    err = capsys.readouterr().err
    assert err.startswith(f"efficient-sed: {tmp_path}/a.h5: cannot be written (")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
