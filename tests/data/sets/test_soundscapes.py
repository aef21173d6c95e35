"""Folders of isolated sounds become scenes; parts share no sound; what is wrong with a folder is said in one line."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sound_files import LEAD_S, LOWEST_HZ, STEP_HZ, TAIL_S, TONE_S, strongest_hz, tone, write_sound, write_sounds

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.check import check_data, write_manifest
from efficient_sed.data.dataset import Item, TrainingClips
from efficient_sed.data.events import Clip, Splits
from efficient_sed.data.samplers import Draw
from efficient_sed.data.sets.soundscapes import SoundscapesConfig
from efficient_sed.errors import ConfigError, DataError

SMALL: dict[str, Any] = {
    "num_train": 6, "num_validation": 4, "num_test": 6, "clip_seconds": 2.0, "num_workers": 0,
    "speed_change": 0.0, "reverb_share": 0.0, "max_events": 2, "min_snr_db": 20.0, "silence_share": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds") / "foreground")


@pytest.fixture(scope="module")
def config(folder: Path) -> SoundscapesConfig:
    return SoundscapesConfig(foreground=str(folder), root=str(folder.parent / "scenes"), **SMALL)


@pytest.fixture(scope="module")
def splits(config: SoundscapesConfig) -> Splits:
    return config.load()


def written(config: SoundscapesConfig) -> Path:
    (folder,) = Path(config.root).iterdir()
    return folder


def heard(clip: Clip) -> set[int]:
    """Numbers of the files that a scene was mixed of, by their frequencies; events of a clip overlap sometimes."""
    samples = clip.audio.read().numpy()
    numbers = set()
    for event in clip.events:
        if any(
            other != event and other.onset_s < event.offset_s and event.onset_s < other.offset_s
            for other in clip.events
        ):
            continue
        excerpt = samples[round(event.onset_s * 16_000) : round(event.offset_s * 16_000)]
        number = round((strongest_hz(excerpt) - LOWEST_HZ) / STEP_HZ)
        assert event.label == ("cat" if number < 5 else "dog")
        numbers.add(number)
    return numbers


def test_parts_share_no_sound(config: SoundscapesConfig, splits: Splits) -> None:
    assert splits.classes == ("cat", "dog")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [6, 4, 6]
    rng = np.random.default_rng(0)
    drawn = [clip.audio.draw(clip, rng) for clip in splits.train for _ in range(4)]  # type: ignore[attr-defined]
    sounds = [set().union(*map(heard, part)) for part in ([*splits.train, *drawn], splits.validation, splits.test)]
    assert [len(own) for own in sounds] == [6, 2, 2]
    assert len(set().union(*sounds)) == 10
    assert sorted(path.name for path in written(config).iterdir()) == [
        "audio", "settings.json", "sounds.pcm", "sounds.tsv", "test.tsv", "validation.tsv",
    ]  # fmt: skip


def test_events_are_the_trimmed_sounds(
    splits: Splits, caplog: pytest.LogCaptureFixture, folder: Path, tmp_path: Path
) -> None:
    lengths = [event.offset_s - event.onset_s for clip in (*splits.train, *splits.test) for event in clip.events]
    assert np.allclose(lengths, TONE_S, atol=0.011)
    with caplog.at_level("INFO"):
        SoundscapesConfig(foreground=str(folder), root=str(tmp_path), **SMALL).load()
    whole_s = LEAD_S + TONE_S + TAIL_S
    said = f"silence cut off 10 of 10 sounds: {10 * (LEAD_S + TAIL_S):.1f} s of {10 * whole_s:.1f} s (data.trim_db=25)"
    assert said in caplog.text


def test_training_scenes_depend_on_seed_epoch_and_clip_alone(splits: Splits) -> None:
    def item(seed: int, *draw: int) -> Item:
        made = TrainingClips(splits.train, splits.classes, FrameGrid(), 2.0, seed)[Draw(*draw)]
        assert isinstance(made, Item), made
        return made

    first, again, others = item(3, 1, 2), item(3, 1, 2), [item(4, 1, 2), item(3, 2, 2), item(3, 1, 3), item(3, 1, 2, 1)]
    np.testing.assert_array_equal(first.waveform, again.waveform)
    np.testing.assert_array_equal(first.targets, again.targets)
    assert first.waveform.shape == (32_000,)
    assert first.targets.shape == (2, 50)
    assert not any(np.array_equal(first.waveform, other.waveform) for other in others)


def test_loaded_again_and_moved(config: SoundscapesConfig, splits: Splits, folder: Path, tmp_path: Path) -> None:
    before = written(config).stat().st_mtime_ns
    assert config.load() == splits
    assert written(config).stat().st_mtime_ns == before
    moved = dataclasses.replace(
        config, foreground=str(shutil.copytree(folder, tmp_path / "other")), root=str(tmp_path / "a")
    )
    assert moved.load().manifest_hash == splits.manifest_hash
    assert written(moved).name == written(config).name
    for part in ("validation", "test"):
        names = [path.name for path in sorted((written(config) / "audio" / part).iterdir())]
        for name in names:
            place = Path("audio", part, name)
            assert (written(config) / place).read_bytes() == (written(moved) / place).read_bytes()
    write_sound(tmp_path / "other" / "cat" / "new.wav", 5000)
    assert moved.load().manifest_hash != splits.manifest_hash


def test_any_audio(tmp_path: Path) -> None:
    """Stereo, other rates, subfolders, two Unicode spellings of one label, long files."""
    for number, (rate, channels) in enumerate([(44_100, 2), (8_000, 1), (48_000, 2), (22_050, 1)]):
        write_sound(tmp_path / "in" / "e\u0301toile" / f"{number}.wav", 600 + 100 * number, rate, channels)
        write_sound(
            tmp_path / "in" / "long" / "deep" / f"{number}.wav", 1600 + 100 * number, rate, channels, seconds=3.0
        )
    config = SoundscapesConfig(foreground=str(tmp_path / "in"), root=str(tmp_path / "out"), **SMALL)
    splits = config.load()
    assert splits.classes == ("long", "\u00e9toile")
    longest = max(event.offset_s - event.onset_s for clip in splits.train for event in clip.events)
    assert longest == 2.0  # cropped to the scene
    for clip in (*splits.train, *splits.test):
        assert clip.audio.read().shape == (32_000,)


def test_a_table_of_classes(tmp_path: Path) -> None:
    """As ESC-50 has it; recordings of one source stay in one part, or else those of a fold."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(12):
        label, fold, take = ("cat", "dog")[number % 2], 1 + number // 4, "AB"[number // 2 % 2]
        name = f"{fold}-{number // 4}-{take}-{number % 2}.wav"
        write_sound(tmp_path / "esc" / "audio" / name, 600 + 100 * number)
        rows.append(f"{name},{fold},{number % 2},{label},False,{number // 4},{take}")
    table = tmp_path / "esc" / "meta" / "esc50.csv"
    table.parent.mkdir()
    for header in (rows[0], rows[0].replace("src_file", "other")):
        table.write_text("\n".join([header, *rows[1:]]))
        config = SoundscapesConfig(foreground=str(tmp_path / "esc"), root=str(tmp_path / header[-8:]), **SMALL)
        assert config.load().classes == ("cat", "dog")
        sources: dict[str, set[str]] = {}
        for row in (written(config) / "sounds.tsv").read_text().splitlines()[1:]:
            _, part, _, file, *_ = row.split("\t")
            sources.setdefault(part, set()).add(file.split("-")[1])
        assert [len(own) for own in sources.values()] == [1, 1, 1]
    table.write_text("\n".join([*rows, "none.wav,1,0,cat,False,9,A"]))
    with pytest.raises(DataError, match=r"esc50\.csv:14: .*none\.wav: no such audio file$"):
        config.load()


def test_negatives_are_kept_out(folder: Path, tmp_path: Path) -> None:
    for number in range(5):
        write_sound(tmp_path / "no" / f"{number}.wav", 5000 + 200 * number)
    base = SoundscapesConfig(foreground=str(folder), root=str(tmp_path / "out"), **SMALL)
    config = dataclasses.replace(base, negatives=str(tmp_path / "no"))
    splits = config.load()
    assert len(splits.negatives) == 1
    assert splits.parts == ("train", "validation", "test", "negatives")
    (kept_out,) = splits.negatives
    assert kept_out.duration_s == pytest.approx(LEAD_S + TONE_S + TAIL_S)
    table = (written(config) / "sounds.tsv").read_text().splitlines()
    parts = [row.split("\t")[1] for row in table if row.startswith("negatives")]
    assert sorted(parts) == ["test", "train", "train", "train", "validation"]
    scored = dataclasses.replace(base, negatives_test=str(tmp_path / "no"))
    assert len(scored.load().negatives) == 5
    (tmp_path / "no" / "4.wav").write_bytes(b"no audio")
    report = check_data(dataclasses.replace(scored, on_error="skip"))
    assert report.coverage["negatives"].found == 4
    write_manifest(report.splits, tmp_path / "manifest.jsonl")
    assert (tmp_path / "manifest.jsonl").read_text().count('"part": "negatives"') == 4
    one = tmp_path / "one"
    write_sound(one / "long.wav", 3000, seconds=9.0)
    divided = dataclasses.replace(base, negatives=str(one), background=str(shutil.copytree(one, tmp_path / "more")))
    with pytest.raises(
        DataError, match=r"^data\.negatives=.*long\.wav is a sound of data\.background, too \(.*\); remove one"
    ):
        divided.load()
    (clip,) = dataclasses.replace(divided, background=None).load().negatives
    assert clip.duration_s == pytest.approx(0.2 * 9.5, abs=0.25)  # the last fifth, without its silence


def empty(folder: Path) -> None:
    (folder / "cow").mkdir()


def flat(folder: Path) -> None:
    for path in sorted(folder.rglob("*.wav")):
        path.rename(folder / path.name)
    for child in ("cat", "dog"):
        (folder / child).rmdir()


def silent(folder: Path) -> None:
    soundfile.write(folder / "cat" / "1.wav", np.zeros(8000), 16_000)


def broken(folder: Path) -> None:
    (folder / "dog" / "7.wav").write_bytes(b"RIFF")


def same_sound(folder: Path) -> None:
    shutil.copy(folder / "cat" / "1.wav", folder / "dog" / "copy.wav")


def single(folder: Path) -> None:
    write_sound(folder / "cow" / "moo.wav", 3000)


def renamed(name: str) -> Callable[[Path], None]:
    return lambda folder: write_sound(folder / name / "x.wav", 3000)


def nothing(_: Path) -> None:
    pass


def emptied(folder: Path) -> None:
    for label in ("cat", "dog"):
        shutil.rmtree(folder / label)


NAMES = r"add sounds, remove it, or name the classes as data\.classes=\[cat,dog\]$"
INTO_FOLDERS = r"put the sounds of each class into a folder of its name, {d}/LABEL/$"
SKIP = r"; data\.on_error=skip leaves such files out$"
ONE = "class 'cow' has 1 file, and train, validation and test need at least one each; give 3 or more$"
TOGETHER = "differ only in case or accents; put their sounds together, or rename one$"
BAD: list[tuple[Callable[[Path], object], dict[str, Any], str]] = [
    (empty, {}, f"^{{d}}/cow: a class folder without an audio file; {NAMES}"),
    (flat, {}, rf"^data\.foreground={{d}}: holds 10 audio files and no class folders; {INTO_FOLDERS}"),
    (emptied, {}, rf"^data\.foreground={{d}}: holds no sounds; {INTO_FOLDERS}"),
    (silent, {}, rf"^{{d}}/cat/1\.wav: silent: no sample reaches -80 dB of full scale{SKIP}"),
    (broken, {}, rf"^{{d}}/dog/7\.wav: .*{SKIP}"),
    (same_sound, {}, r"{d}/cat/1\.wav and {d}/dog/copy\.wav are the same sound in two classes; remove one of them$"),
    (single, {}, rf"^data\.foreground={{d}}: {ONE}"),
    (renamed("Dog"), {}, f"^{{d}}: the classes 'Dog' and 'dog' {TOGETHER}"),
    (renamed("d\u00f6g"), {}, f"^{{d}}: the classes 'dog' and 'd\u00f6g' {TOGETHER}"),
    (renamed(" pig"), {}, r"^{d}: label ' pig' has blanks around it$"),
    (nothing, {"classes": ("cat", "dig")}, r"^data\.foreground={d}: has no class 'dig'; did you mean 'dog'\?"),
    (nothing, {"min_event_seconds": 0.5}, r"class 'cat' has no sound left: all are shorter than data\.min_event_sec"),
    (nothing, {"group_pattern": "^(.)"}, r"class 'cat' has 5 files in 1 group \("),
    (nothing, {"negatives": "{d}/cat"}, r"{d}/cat/0\.wav is a sound of data\.foreground, too \({d}/cat/0\.wav\)"),
    (empty, {"background": "{d}/cow", "classes": ("cat",)}, r"^data\.background={d}/cow: holds no audio file$"),
]


@pytest.mark.parametrize(("spoil", "options", "message"), BAD)
def test_bad_input(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], object], options: dict[str, Any], message: str
) -> None:
    own = shutil.copytree(folder, tmp_path / "in")
    spoil(own)
    options = {
        key: value.replace("{d}", str(own)) if isinstance(value, str) else value for key, value in options.items()
    }
    with pytest.raises(DataError, match=message.replace("{d}", str(own))):
        SoundscapesConfig(foreground=str(own), root=str(tmp_path / "out"), **SMALL | options).load()
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_silent_files_are_skipped_on_request(folder: Path, tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "in")
    silent(own)
    config = SoundscapesConfig(foreground=str(own), root=str(tmp_path / "out"), on_error="skip", **SMALL)
    splits = config.load()
    assert splits.skipped == (f"{own}/cat/1.wav: silent: no sample reaches -80 dB of full scale",)
    assert config.load().skipped == splits.skipped
    with pytest.raises(DataError, match="silent"):
        dataclasses.replace(config, on_error="raise").load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_events": 6}, r"data\.min_events=6 is not allowed: 1 to data\.max_events=5"),
        ({"max_snr_db": -5}, r"data\.min_snr_db=0\.0 is not allowed: at most data\.max_snr_db=-5"),
        ({"max_level_db": 1}, r"data\.max_level_db=1 is not allowed: at most 0 dB"),
        ({"speed_change": 0.07}, r"data\.speed_change=0\.07 is not allowed: 0 to 0\.5 in steps of 0\.05"),
        ({"max_event_seconds": 11}, r"data\.max_event_seconds=11 is not allowed: at most data\.clip_seconds=10"),
        ({"min_event_seconds": 0.001}, r"data\.min_event_seconds=0\.001 is not allowed: 0\.01 to 10 s"),
        ({"validation_share": 0.5, "test_share": 0.5}, r"data\.test_share=0\.5 is not allowed: below 1 together with"),
        ({"group_pattern": "(a"}, r"data\.group_pattern=\(a is no regular expression: missing \)"),
        ({"group_pattern": "a"}, r"data\.group_pattern=a is not allowed: an expression with a group"),
        ({"pseudo_labels": "x.h5"}, r"data\.pseudo_labels=x\.h5 is not allowed: null with data=soundscapes"),
        ({"num_train": 0}, r"data\.num_train=0 is not allowed: 1 to 100000 scenes"),
        ({"trim_db": 0}, r"data\.trim_db=0 is not allowed: above 0 dB, or null"),
        ({"reverb_share": 2}, r"data\.reverb_share=2 is not allowed: 0 to 1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SoundscapesConfig(**options)


def test_the_tone_is_what_the_test_thinks() -> None:
    assert strongest_hz(tone(1234, 1.0)) == pytest.approx(1234, abs=1)
