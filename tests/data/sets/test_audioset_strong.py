"""AudioSet Strong from each of its layouts: clips, audio in any process, errors."""

from __future__ import annotations

import json
import logging
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
import torch
from audioset_files import (
    BARK,
    SEGMENTS,
    VIDEOS,
    mp3,
    mp3_files,
    tone,
    write_arrow,
    write_folder,
    write_hdf5,
    write_segments,
    write_tables,
)
from damage import spoiled_flac

from efficient_sed.cli.main import main
from efficient_sed.data.events import PARTS, Event, Splits, merge_overlapping
from efficient_sed.data.labels import audioset_evaluated_labels, audioset_labels, audioset_vocabulary
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.data.storage import index
from efficient_sed.data.storage.index import index_file
from efficient_sed.data.storage.sources import AudioFile, AudioSource
from efficient_sed.errors import ConfigError, DataError

LAYOUTS = ("arrow", "arrow_folders", "hdf5", "hdf5_csv", "folder", "folder_parts")


@pytest.fixture(scope="session")
def audioset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same nine clips in every layout; one of them whole, the rest short."""
    root = tmp_path_factory.mktemp("audioset")
    files = mp3_files() | {VIDEOS[0]: mp3(0, 10.0)}
    for name in LAYOUTS:
        (root / name).mkdir()
    write_arrow(root / "arrow", files)
    write_arrow(root / "arrow_folders", files, as_one=False)
    write_hdf5(root / "hdf5", files)
    write_tables(root / "hdf5")
    write_hdf5(root / "hdf5_csv", files, folder="")
    write_tables(root / "hdf5_csv", ",")
    write_folder(root / "folder", files)
    write_tables(root / "folder")
    write_folder(root / "folder_parts", files, folders=("train", "eval"))
    write_tables(root / "folder_parts", ",")
    return root


@pytest.fixture
def copy(audioset: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A layout that may be spoiled."""

    def make(name: str) -> Path:
        shutil.copytree(audioset / name, tmp_path / name)
        return tmp_path / name

    return make


def load(root: Path, **options: Any) -> Splits:
    return AudioSetStrongConfig(root=str(root), num_workers=0, **options).load()


def contents(splits: Splits) -> list[Any]:
    """All of a data set but where its audio lies."""
    return [
        splits.classes,
        splits.evaluated_classes,
        splits.expected,
        *([replace(clip, audio=None) for clip in getattr(splits, part)] for part in PARTS),
    ]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_agree(audioset: Path, name: str) -> None:
    splits, reference = load(audioset / name), load(audioset / "arrow")
    assert contents(splits) == contents(reference)
    assert splits.manifest_hash == reference.manifest_hash
    for part in PARTS:
        for clip, other in zip(getattr(splits, part), getattr(reference, part), strict=True):
            assert torch.equal(clip.audio.read(), other.audio.read())
            assert clip.audio.content_hash() == replace(clip.audio, digest="").content_hash()


def test_what_is_read(audioset: Path) -> None:
    splits = load(audioset / "arrow")
    assert (splits.classes, splits.evaluated_classes) == (audioset_labels("strong"), audioset_evaluated_labels())
    assert (len(splits.classes), len(audioset_evaluated_labels())) == (447, 407)
    assert [clip.id for clip in splits.train] == sorted(
        f"Y{video}.mp3" for split in ("balanced_train", "unbalanced_train") for video in SEGMENTS[split]
    )
    whole = next(clip for clip in splits.train if clip.id == f"Y{VIDEOS[0]}.mp3")
    assert whole.duration_s == 10.0
    assert whole.events == (Event(0.0, 2.5, "Bark"), Event(4.0, 4.875, "Speech"))  # two overlapping barks are one
    assert [clip.events for clip in splits.train if "cccc" in clip.id] == [
        (Event(0.641, 9.9, "Music"),)
    ]  # cut to the clip's length
    assert dict(splits.overhang) == {"train": (2, 0, pytest.approx(0.1))}
    assert [clip.id for clip in splits.test] == [
        "Yf-fffffffff.mp3",
        "Yggggggggggg.mp3",
        "Yiiiiiiiiiii.mp3",
    ]  # the one without an evaluated class is left out
    assert {event.label for event in splits.test[0].events} == {
        "Speech",
        "Bark",
    }  # silence is no class of the training set
    assert splits.validation == splits.test
    assert splits.expected == {"train": 103_463, "validation": 16_995, "test": 16_995}


def test_clips_that_are_much_shorter_than_their_events(copy: Callable[[str], Path]) -> None:
    root = copy("hdf5")
    write_hdf5(root, mp3_files(8.5), ["eval"])
    assert load(root).num_skipped["test"] == 0  # the only event behind it is of no class of the training set
    write_hdf5(root, mp3_files(5.5), ["eval"])
    message = (
        r"eval_segments_mp3\.hdf\[0\] Yf-fffffffff\.mp3: event 'Bark' at 6-7 s lies beyond the file's end at 5\.5 s by"
        r" more than 1 s"
    )
    with pytest.raises(DataError, match=message + r".*data\.on_error=skip leaves such files out"):
        load(root)
    splits = load(root, on_error="skip")
    assert (len(splits.test), splits.num_skipped["test"]) == (2, 1)


def test_first_channel_at_16_khz(audioset: Path) -> None:
    whole = next(clip for clip in load(audioset / "hdf5").train if clip.id == f"Y{VIDEOS[0]}.mp3")
    samples = whole.audio.read()
    assert samples.shape == (160_000,)
    assert (
        np.abs(samples.numpy()[1000:-1000] - tone(0, 10.0, 16_000)[1000:-1000, 0]).max() < 0.02
    )  # the second channel's tone of 3 kHz is not there
    torch.testing.assert_close(whole.audio.read(4.0, 2.0), samples[64_000:96_000], atol=1e-4, rtol=0)


def test_lossless_copies_have_the_mp3s_ids(audioset: Path, tmp_path: Path) -> None:
    files = mp3_files()
    for suffix in ("wav", "flac"):
        write_folder(tmp_path / suffix, files, suffix)
        write_tables(tmp_path / suffix)
        assert [clip.id for clip in load(tmp_path / suffix).train] == [
            clip.id for clip in load(audioset / "folder").train
        ]


def test_validation_by_hash(audioset: Path) -> None:
    whole = load(audioset / "arrow")
    splits = load(audioset / "arrow", validation_share=0.5)
    assert splits.validation
    assert {clip.id for clip in splits.train} < {clip.id for clip in whole.train}
    assert not {clip.id for clip in splits.train} & {clip.id for clip in splits.validation}
    assert contents(splits) == contents(load(audioset / "hdf5", validation_share=0.5))
    with pytest.raises(ConfigError, match=r"data\.validation_share=1\.0 is not allowed: 0 to below 1"):
        AudioSetStrongConfig(validation_share=1.0)
    with pytest.raises(
        DataError, match=r"0 clips for validation; give more of AudioSet, or another data\.validation_share"
    ):
        load(audioset / "arrow", validation_share=1e-9)


def test_known_classes() -> None:
    vocabulary = audioset_vocabulary("strong")
    assert (vocabulary[BARK], vocabulary["Bark"], vocabulary["/m/028v0c"]) == ("Bark", "Bark", None)
    assert len({label for label in vocabulary.values() if label}) == 447


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_sources_in_other_processes(audioset: Path, context: str) -> None:
    clips = [
        *load(audioset / "arrow").train[:2],
        *load(audioset / "hdf5").train[:2],
        *load(audioset / "folder").train[:2],
    ]
    here = [
        float(clip.audio.read().double().sum()) for clip in clips
    ]  # opens the containers here, before others are started
    with ProcessPoolExecutor(
        2, multiprocessing.get_context(context), torch.set_num_threads, (1,)
    ) as pool:  # as DataLoader does: OpenMP does not survive a fork
        assert list(pool.map(checksum, [clip.audio for clip in clips] * 3)) == here * 3
    assert all(len(pickle.dumps(clip.audio)) < 1000 and hash(clip.audio) for clip in clips)


def checksum(audio: AudioSource) -> float:
    return float(audio.read().double().sum())


def test_the_index_is_built_once(
    copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = copy("hdf5")
    caplog.set_level(logging.INFO)
    first = load(root)
    assert sum("reading the durations" in message for message in caplog.messages) == 3
    with monkeypatch.context() as patch:
        patch.setattr(index, "_probe", lambda row: pytest.fail(f"{row} is read again"))
        again = load(root)
        assert again == first
        assert again.manifest_hash == first.manifest_hash
    write_hdf5(root, mp3_files(9.5), ["eval"])
    changed = load(root)
    assert {clip.duration_s for clip in changed.test} == {9.5}
    assert changed.train == first.train
    assert changed.manifest_hash != first.manifest_hash
    path = index_file(root / "eval_segments_mp3.hdf")
    path.write_bytes(path.read_bytes()[:200])
    assert load(root) == changed
    assert any("damaged" in message and "made anew" in message for message in caplog.messages)


def test_an_empty_file_is_known_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty.wav").touch()
    rows = [index.IndexRow("empty.wav", "stamp", AudioFile(tmp_path / "empty.wav"))]
    (entry,) = index.look_up(tmp_path, rows, 0)
    assert "empty (0 bytes)" in entry.problem
    monkeypatch.setattr(index, "_probe", lambda row: pytest.fail(f"{row} is read again"))
    assert index.look_up(tmp_path, rows, 0) == [entry]
    assert not [message for message in caplog.messages if "made anew" in message]


def test_no_home_for_the_index(copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path / "file"))
    with pytest.raises(
        DataError,
        match=r"the index of .* cannot be written \(Not a directory\); give a writable folder: EFFICIENT_SED_HOME=DIR",
    ):
        load(copy("hdf5"))


def test_what_is_left_out_is_counted_once(audioset: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    load(audioset / "hdf5")
    (outside,) = [message for message in caplog.messages if "outside" in message]
    assert outside.endswith("2 events of 1 classes outside the 447 are left out of the eval part")
    assert (
        sum("1 evaluation clips hold none of the 407 evaluated classes" in message for message in caplog.messages) == 1
    )


def test_a_partial_copy(copy: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    root = copy("hdf5")
    (root / "unbalanced_train_segments_mp3.hdf").unlink()
    assert len(load(root).train) == 2
    assert any(
        "unbalanced_train_segments_mp3.hdf is missing; balanced_train alone is the train part" in message
        for message in caplog.messages
    )


def table(text: str, name: str = "audioset_train_strong.tsv") -> Callable[[Path], Any]:
    return lambda root: (root / name).write_text((root / name).read_text() + text + "\n")


def replace_mp3(root: Path, video: str, data: bytes) -> None:
    (root / "audio" / f"Y{video}.mp3").write_bytes(data)


def truncate(name: str) -> Callable[[Path], Any]:
    def cut(root: Path) -> None:
        path = next(root.glob(name))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut


BAD: list[tuple[str, str, Callable[[Path], Any], dict[str, Any], str]] = [
    (
        "no folder", "arrow", Path.exists, {"root": "nowhere"},
        r"data\.root=nowhere: no such directory; give the folder of AudioSet as data\.root=DIR",
    ),
    (
        "empty folder", "folder", lambda root: [path.unlink() for path in root.glob("*.tsv")], {},
        r"data\.root={root}: no layout of AudioSet is recognised; needed: .*",
    ),
    (
        "two layouts", "hdf5", lambda root: (root / "dataset_dict.json").touch(), {},
        r"data\.root={root}: holds arrow and hdf5; choose with data\.layout=arrow",
    ),
    (
        "no eval folder", "arrow", lambda root: shutil.rmtree(root / "eval"), {},
        r"{root}: the folders eval missing, so there is no eval part",
    ),
    (
        "no eval file", "hdf5", lambda root: (root / "eval_segments_mp3.hdf").unlink(), {},
        r"{root}: the files eval_segments_mp3\.hdf missing, so there is no eval part",
    ),
    (
        "no training split", "arrow",
        lambda root: [shutil.rmtree(root / split) for split in ("balanced_train", "unbalanced_train")], {},
        r"{root}: the folders balanced_train and unbalanced_train missing, so there is no train part",
    ),
    (
        "wrong layout", "folder", Path.exists, {"layout": "hdf5"},
        r"{root}: no .*|{root}: the files balanced_train_segments_mp3\.hdf and .* missing, so there is no train part",
    ),
    (
        "no annotations", "hdf5", lambda root: (root / "audioset_eval_strong.tsv").unlink(), {},
        r"{root}: no audioset_eval_strong\.tsv \(or \.csv, or in metadata/\); .*",
    ),
    (
        "truncated HDF5", "hdf5", truncate("eval*.hdf"), {},
        r"{root}/eval_segments_mp3\.hdf: not readable as HDF5 \(.*truncated file.*\); copy the file again",
    ),
    (
        "truncated Arrow", "arrow", truncate("eval/*.arrow"), {},
        r"{root}/eval/data-.*\.arrow: not readable as Arrow \(.*\); copy the data set again",
    ),
    (
        "Arrow file missing", "arrow", lambda root: next((root / "eval").glob("*.arrow")).unlink(), {},
        r"{root}/eval/data-.*: no such file, though state\.json names it; .*",
    ),
    (
        "Arrow file's name too long", "arrow",
        lambda root: (root / "eval/state.json").write_text('{"_data_files": [{"filename": "' + "x" * 5000 + '"}]}'), {},
        r".*x: no such file, though state\.json names it.*",
    ),
    (
        "no state", "arrow", lambda root: (root / "eval/state.json").write_text("{"), {},
        r"{root}/eval: not a split of an Arrow data set \(state\.json: .*\); .*",
    ),
    (
        "garbage", "folder", lambda root: replace_mp3(root, VIDEOS[1], b"noise" * 99), {},
        r"{root}/audio/YYb_bbbbbbbb\.mp3: not readable as audio .*; data\.on_error=skip .*",
    ),
    (
        "no bytes", "folder", lambda root: replace_mp3(root, VIDEOS[1], b""), {},
        r"{root}/audio/YYb_bbbbbbbb\.mp3: the audio file is empty \(0 bytes\); data\.on_error=skip .*",
    ),
    (
        "no row of bytes", "hdf5",
        lambda root: write_hdf5(root, mp3_files() | {VIDEOS[0]: b""}, ["balanced_train"]), {},
        r"{root}/balanced_train_segments_mp3\.hdf\[0\] Y--aaaaaaaaa\.mp3: the audio file is empty .*skip .*",
    ),
    (
        "a clip twice", "folder", lambda root: soundfile.write(root / f"Y{VIDEOS[0]}.flac", tone(0, 1.0), 32_000), {},
        r"{root}/audio/Y--aaaaaaaaa\.mp3:"
        r" the clip Y--aaaaaaaaa\.mp3 is in {root}/Y--aaaaaaaaa\.flac too; clip ids must not repeat",
    ),
    (
        "a clip in two splits", "arrow",
        lambda root: shutil.copytree(root / "balanced_train/", root / "unbalanced_train", dirs_exist_ok=True), {},
        r"{root}/unbalanced_train\[0\]:"
        r" the clip Y--aaaaaaaaa\.mp3 is in {root}/balanced_train\[0\] too; clip ids must not repeat",
    ),
    (
        "a clip in both parts", "folder", table(f"{VIDEOS[0]}_30000\t0\t1\t/m/09x0r", "audioset_eval_strong.tsv"), {},
        r"data\.root={root}: the clip Y--aaaaaaaaa\.mp3 is in the training and in the evaluation part; .*",
    ),
    (
        "two segments", "hdf5", table(f"{VIDEOS[0]}_50000\t0\t1\t/m/09x0r"), {},
        r"{root}/audioset_train_strong\.tsv:10:"
        r" segment '--aaaaaaaaa_50000' is of the same video as '--aaaaaaaaa_30000' in line 2; clip ids must not repeat",
    ),
    (
        "no class", "hdf5", table(f"{VIDEOS[0]}_30000\t0\t1\tBarkk"), {},
        r"{root}/audioset_train_strong\.tsv:10: 'Barkk' is no class of AudioSet; did you mean 'Bark'\?",
    ),
    (
        "reversed", "hdf5", table(f"{VIDEOS[0]}_30000\t2\t1\t{BARK}"), {},
        r"{root}/audioset_train_strong\.tsv:10: start 2 s must be at least 0 and before end 1 s",
    ),
    (
        "not a number", "hdf5", table(f"{VIDEOS[0]}_30000\tnan\t1\t{BARK}"), {},
        r"{root}/audioset_train_strong\.tsv:10: start nan s must be at least 0 .*",
    ),
    (
        "words", "hdf5", table(f"{VIDEOS[0]}_30000\tx\t1\t{BARK}"), {},
        r"{root}/audioset_train_strong\.tsv:10: 'x' and '1' are not seconds",
    ),
    (
        "short row", "hdf5", table(f"{VIDEOS[0]}_30000\t0"), {},
        r"{root}/audioset_train_strong\.tsv:10: 2 columns, the header has 4",
    ),
    (
        "no segment", "hdf5", table(f"{VIDEOS[0]}\t0\t1\t{BARK}"), {},
        r"{root}/audioset_train_strong\.tsv:10: segment '--aaaaaaaaa' is not <youtube id>_<start in ms>",
    ),
    (
        "no column", "hdf5", lambda root: (root / "audioset_train_strong.tsv").write_text("segment_id\tlabel\n"), {},
        r".*: column 'start_time_seconds' is missing; .*",
    ),
    (
        "no audio", "folder", lambda root: shutil.rmtree(root / "audio"), {},
        r"{root}: no audio file Y<youtube id>\.mp3 \(or another ending\) lies below",
    ),
    (
        "other audio", "folder",
        lambda root: [path.rename(path.with_name("Yother.mp3")) for path in (root / "audio").iterdir()], {},
        r"data\.root={root}: none of the 5 annotated clips of the train part has audio here;"
        r" looked for Y--aaaaaaaaa\.mp3 and so on",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "options", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_data(
    copy: Callable[[str], Path], name: str, spoil: Callable[[Path], Any], options: dict[str, Any], message: str
) -> None:
    root = copy(name)
    spoil(root)
    with pytest.raises(DataError, match=f"^({message.replace('{root}', str(root))})$") as caught:
        load(**{"root": root, **options})
    assert "\n" not in str(caught.value)


def test_unknown_layout(capsys: pytest.CaptureFixture[str], audioset: Path) -> None:
    assert main(["data", "check", "data=audioset_strong", f"data.root={audioset}/arrow", "data.layout=hdf"]) == 2
    assert (
        capsys.readouterr().err
        == "efficient-sed: data.layout='hdf' is not allowed; did you mean 'hdf5'? allowed: arrow, auto, folder, hdf5\n"
    )


def test_missing_package(audioset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        Exception, match=r"an Arrow data set needs the package pyarrow: pip install 'efficient-sed\[data\]'"
    ):
        load(audioset / "arrow")


def test_long_and_unreadable_clips(copy: Callable[[str], Path]) -> None:
    root = copy("hdf5")
    write_hdf5(root, mp3_files() | {VIDEOS[0]: mp3(0, 30.0), VIDEOS[1]: b"garbage"}, ["balanced_train"])
    splits = load(root, on_error="skip")
    assert splits.train[0].duration_s == 30.0
    assert (len(splits.skipped), splits.num_skipped["train"]) == (1, 1)
    assert splits.skipped[0].startswith(
        f"{root}/balanced_train_segments_mp3.hdf[1] YYb_bbbbbbbb.mp3: not readable as audio"
    )


def test_events_as_a_list_of_dictionaries(audioset: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    shutil.copytree(audioset / "arrow", tmp_path / "arrow")
    shutil.rmtree(tmp_path / "arrow/eval")
    events = [[{"event_label": "Bark", "event_label_id": BARK, "onset": 0.5, "offset": 1.0}]]
    data = datasets.Dataset.from_dict({"filename": ["Yx.mp3"], "mp3_bytes": [mp3(3, 2.0)], "events": events})
    data.save_to_disk(tmp_path / "arrow/eval")
    assert load(tmp_path / "arrow").test[0].events == (Event(0.5, 1.0, "Bark"),)


def test_merging_order() -> None:
    events = [Event(1.0, 2.0, "b"), Event(0.0, 5.0, "a"), Event(1.5, 3.0, "b"), Event(1.0, 1.2, "a")]
    assert merge_overlapping(events) == (Event(0.0, 5.0, "a"), Event(1.0, 3.0, "b"))


def test_check(audioset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = audioset / "hdf5"
    teacher = tmp_path / "teacher.h5"
    with h5py.File(teacher, "w") as file:
        file["filenames"] = np.array([f"Y{video}.mp3".encode() for video in VIDEOS[:2]])
        file["strong_logits"] = np.zeros((2, 447, 250), np.float16)
    words = ["data=audioset_strong", f"data.root={root}", "data.num_workers=0", f"data.pseudo_labels={teacher}"]
    assert main(["data", "check", *words, "--manifest", str(tmp_path / "manifest.jsonl")]) == 0
    out = capsys.readouterr().out
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in out.splitlines()
        if line.count("│") == 7
    }
    assert rows["train"] == ["103,463", "5", "0.0%", "0", "3"]
    assert rows["test"] == ["16,995", "3", "0.0%", "0", ""]
    assert "of 447 classes" in out
    assert out.count("\n") < 60
    splits = load(root)
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines] == ["train"] * 5 + ["validation"] * 3 + ["test"] * 3
    assert lines[0] == {
        "part": "train",
        "id": splits.train[0].id,
        "duration_s": 10.0,
        "hash": splits.train[0].audio.content_hash(),
    }
    assert main(["data", "check", *words, "--classes"]) == 0
    assert capsys.readouterr().out.count("\n") > 447


def test_check_names_what_is_damaged(copy: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = copy("hdf5")
    write_hdf5(root, mp3_files() | {VIDEOS[0]: spoiled_flac(10.0), VIDEOS[1]: b"garbage"}, ["balanced_train"])
    assert main(["data", "check", "data=audioset_strong", f"data.root={root}", "data.num_workers=0"]) == 1
    out, err = capsys.readouterr()
    assert "unreadable files: 2" in out
    assert f"{root}/balanced_train_segments_mp3.hdf[0] Y--aaaaaaaaa.mp3: damaged audio" in err
    assert f"{root}/balanced_train_segments_mp3.hdf[1] YYb_bbbbbbbb.mp3: not readable as audio" in err


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_training(audioset: Path, tmp_path: Path, num_workers: int) -> None:
    words = [
        "data=audioset_strong",
        f"data.root={audioset}/arrow",
        "data.clip_seconds=2",
        f"data.num_workers={num_workers}",
        "backbone=fmn04",
        "seq=none",
        "train.epochs=1",
    ]
    options = [
        "train.batch_size=2",
        "train.accelerator=cpu",
        "benchmark.repeats=3",
        "benchmark.batches=[1]",
        "benchmark.seconds=1",
        f"output_dir={tmp_path}/runs",
        "--quiet",
    ]
    assert main(["train", *words, *options]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["training"]["steps"] == 2
    assert result["metrics"]["variant"]["num_classes_evaluated"] == 407
    assert set(result["metrics"]["per_class"]) == {"Speech", "Bark", "Music"}
    assert result["data"]["clips_expected"] == {"train": 103_463, "validation": 16_995, "test": 16_995}
    assert result["data"]["events_cut"] == {"train": {"num_cut": 2, "num_dropped": 0, "longest_s": 0.1}}
    assert result["data"]["manifest_hash"] == load(audioset / "arrow").manifest_hash


def test_segments_do_not_disturb(copy: Callable[[str], Path]) -> None:
    root = copy("folder")
    before = load(root)
    write_segments(root)
    assert load(root) == before
