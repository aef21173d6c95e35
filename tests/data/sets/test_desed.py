"""DESED in its published layout: subsets, partial copies, what is held out, errors; and together with MAESTRO Real."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desed_files import NUM_WEAK, write_desed, write_maestro, write_noise

from efficient_sed.audio.io import find_audio
from efficient_sed.data.events import Event, Splits, overhang_notes
from efficient_sed.data.sets import desed
from efficient_sed.data.sets.desed import CLASSES, SUBSETS, DesedConfig, file_name, held_out
from efficient_sed.data.sets.desed_maestro import DesedMaestroConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.facts import describe_data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_desed(tmp_path / "dataset")


def load(root: Path, **options: Any) -> Splits:
    return DesedConfig(root=str(root), num_workers=0, **options).load()


def counts(splits: Splits, part: str) -> dict[str, int]:
    subsets = [clip.subset for clip in getattr(splits, part)]
    return {name: subsets.count(name) for name in dict.fromkeys(subsets)}


def test_subsets_by_part(root: Path) -> None:
    splits = load(root)
    assert counts(splits, "train") == {"synthetic": 4, "strong_real": 2, "weak": 17, "unlabelled": 3}
    assert counts(splits, "validation") == {"synthetic_validation": 2, "weak": 2}
    assert counts(splits, "test") == {"validation": 2}
    assert splits.classes == CLASSES
    assert {clip.kind for clip in splits.train if clip.subset in ("synthetic", "strong_real")} == {"strong"}
    everything = [*splits.train, *splits.validation, *splits.test]
    assert {clip.kind for clip in everything if clip.subset == "weak"} == {"weak"}
    assert {clip.kind for clip in everything if clip.subset == "unlabelled"} == {"unlabelled"}
    assert len({clip.id for clip in everything}) == len(everything)
    events = {clip.id: clip.events for clip in everything}
    assert events["strong_real/Ys0_0.000_10.000.wav"] == (Event(0.1, 0.5, "Dog"), Event(0.3, 0.9, "Speech"))
    assert events["weak/Yw1_30.000_40.000.wav"] == (Event(0.0, 1.0, "Cat"), Event(0.0, 1.0, "Dishes"))
    assert events["unlabelled/Yu0_0.000_10.000.wav"] == events["validation/Yv1_0.000_10.000.wav"] == ()
    assert splits.manifest_hash == load(root).manifest_hash != load(root, has_unlabelled=False).manifest_hash


def test_events_that_go_on_too_long_are_cut_and_said(root: Path) -> None:
    splits = load(root)
    assert splits.test[0].events == (Event(0.2, 1.0, "Vacuum_cleaner"),)
    assert overhang_notes(splits) == ["test part: 1 events cut at their file's end; at most 0.115 s too long"]


def test_coverage_is_in_log_and_result(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        splits = load(root)
    assert f"{root}/audio/train/weak: weak 19 of 1,578 clips are here" in caplog.text
    assert "strong_real 2 of 3,470 clips are here" in caplog.text
    facts = describe_data(compose_run(["data=desed"]), splits)
    assert facts["subsets"]["weak"] == {"clips": NUM_WEAK - 1, "clips_expected": 1578}
    assert facts["clips_expected"] == {"train": 10_000 + 3470 + 1578 - 2 + 14_412, "validation": 2500 + 2, "test": 1168}


def test_the_held_out_clips_are_the_baselines() -> None:
    """Those that pandas' DataFrame.sample(frac=0.9, random_state=42) leaves; a missing file moves no other."""
    names = [str(number) for number in range(1578)]
    chosen = held_out(names, 0.1)
    assert len(chosen) == 158
    assert sorted(map(int, chosen))[:6] == [13, 14, 20, 21, 34, 40]
    assert held_out(names, 0.0) == frozenset()


def test_options(root: Path) -> None:
    assert counts(load(root, weak_validation_share=0.0), "validation") == {"synthetic_validation": 2}
    assert counts(load(root, has_strong_real=False, has_unlabelled=False), "train") == {"synthetic": 4, "weak": 17}
    real = load(root, has_synthetic=False)
    assert counts(real, "train") == {"strong_real": 2, "weak": 17, "unlabelled": 3}
    assert counts(real, "validation") == {"weak": 2}
    assert counts(load(root, test_set="public"), "test") == {"public": 1}
    assert counts(load(root, has_weak=False), "validation") == {"synthetic_validation": 2}


def test_the_baselines_copy(tmp_path: Path, root: Path) -> None:
    """Folders that end in _16k, and soundscapes below dcase_synth/."""
    other = write_desed(tmp_path / "other", ending="_16k")
    for name in ("audio/train/synthetic21_train", "metadata/train/synthetic21_train"):
        (other / "dcase_synth" / name).parent.mkdir(parents=True)
        (other / name).rename(other / "dcase_synth" / name)
    assert [clip.id for clip in load(other).train] == [clip.id for clip in load(root).train]


def test_both_data_sets(root: Path, tmp_path: Path) -> None:
    def load_both(**options: Any) -> Splits:
        return DesedMaestroConfig(root=str(root), num_workers=0, **options).load()

    maestro = str(write_maestro(tmp_path / "maestro"))
    splits = load_both(maestro_root=maestro)
    assert len(splits.classes) == len(set(splits.classes)) == 27
    assert splits.evaluated_classes == CLASSES
    subsets = set(counts(splits, "train"))
    assert subsets == {"synthetic", "strong_real", "weak", "unlabelled", "maestro"}
    assert set(counts(splits, "test")) == {"validation"}
    for clip in (*splits.train, *splits.validation, *splits.test):
        annotated = set(clip.annotated or ())
        own = {*splits.classes[10:], "Speech", "Dishes", "Dog"} if clip.subset == "maestro" else set(CLASSES)
        assert {event.label for event in clip.events} <= annotated == own
    (clip,) = [clip for clip in splits.train if clip.subset == "maestro"]
    assert [event for event in clip.events if event.onset_s == 2] == [  # the highest of two that are speech
        Event(2.0, 3.0, "Speech", 0.9), Event(2.0, 3.0, "announcement", 0.9), Event(2.0, 3.0, "people talking", 0.75),
    ]  # fmt: skip
    other = load_both(maestro_root=maestro, test_set="maestro")
    assert (set(counts(other, "train")), counts(other, "validation")) == (subsets, {"maestro_validation": 1})
    assert (counts(other, "test"), len(other.evaluated_classes or ())) == ({"maestro_test": 1}, 11)
    assert other.expected == {"train": (splits.expected or {})["train"], "validation": 5, "test": 16}
    with pytest.raises(DataError, match=r"^data\.root=.*dataset: nothing of MAESTRO Real in it; give the folder that"):
        load_both()


def append(name: str, text: str) -> Callable[[Path], Any]:
    def change(root: Path) -> None:
        with (root / "metadata" / name).open("a") as file:
            file.write(text)

    return change


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "wrong root": (
        lambda root: (root / "metadata").rename(root / "meta"),
        "data.root={root}: no audio/ and metadata/ in it; give the folder that holds audio/ and metadata/ of DESED",
    ),
    "root above": (
        lambda root: [
            (root / "a").mkdir(),
            *((root / name).rename(root / "a" / name) for name in ("audio", "metadata")),
        ],
        "data.root={root}: no audio/ and metadata/ in it; did you mean data.root={root}/a?",
    ),
    "missing table": (
        lambda root: (root / "metadata/train/weak.tsv").unlink(),
        "{root}/metadata/train/weak.tsv: is missing, of the subset weak; data.has_weak=false leaves it out",
    ),
    "missing folder": (
        lambda root: (root / "audio/train/strong_label_real").rename(root / "audio/elsewhere"),
        "{root}/audio/train/strong_label_real: no such directory, with or without _16k, for the subset strong_real; "
        "data.has_strong_real=false leaves it out",
    ),
    "none of a subset": (
        lambda root: [path.unlink() for path in (root / "audio/train/unlabel_in_domain").iterdir()],
        "{root}/audio/train/unlabel_in_domain: none of the 0 clips of the subset unlabelled is here; "
        "data.has_unlabelled=false leaves it out",
    ),
    "no test": (
        lambda root: [path.unlink() for path in (root / "audio/validation/validation").iterdir()],
        "{root}/audio/validation/validation: none of the 2 clips of the subset validation is here, such as "
        "Yv0_0.000_10.000.wav; data.test_set=public leaves it out",
    ),
    "two parts": (
        append("train/audioset_strong.tsv", "Yv0_0.000_10.000.wav\t0.2\t0.5\tDog\n"),
        "{root}/audio/validation/validation/Yv0_0.000_10.000.wav: stands in the subsets strong_real and validation, so "
        "that it is learnt from and tested on; remove it from strong_real, else scores mean nothing",
    ),
    "unknown label": (
        append("train/audioset_strong.tsv", "Ys1_0.000_10.000.wav\t0.2\t0.5\tdog\n"),
        "{root}/metadata/train/audioset_strong.tsv: Ys1_0.000_10.000.wav: label 'dog' is not one of the 10 classes; "
        "did you mean 'Dog'?",
    ),
    "unknown weak label": (
        append("train/weak.tsv", "Yx.wav\tDog,Cta\n"),
        "{root}/metadata/train/weak.tsv:22: label 'Cta' is none of the classes; did you mean 'Cat'?",
    ),
    "twice": (
        append("train/weak.tsv", "Yw3_30.000_40.000.wav\tDog\n"),
        "{root}/metadata/train/weak.tsv:22: 'Yw3_30.000_40.000.wav' is there twice",
    ),
    "no column": (
        lambda root: (root / "metadata/train/weak.tsv").write_text("filename\tlabels\n"),
        "{root}/metadata/train/weak.tsv: column 'event_labels' is missing; found: filename, labels; needed, "
        "separated by tabs: filename event_labels",
    ),
    "no sound": (
        lambda root: (root / "audio/train/weak/Yw5_30.000_40.000.wav").write_bytes(b"RIFF"),
        "{root}/audio/train/weak/Yw5_30.000_40.000.wav: ",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, root: Path) -> None:
    change, message = BAD[name]
    change(root)
    if name == "two parts":
        write_noise(root / "audio/train/strong_label_real/Yv0_0.000_10.000.wav")
    with pytest.raises(DataError) as caught:
        load(root)
    assert str(caught.value).startswith(message.format(root=root))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weak_validation_share": 1.0}, r"^data\.weak_validation_share=1\.0 is not allowed: 0 to below 1$"),
        ({"has_synthetic": False, "has_weak": False}, r"^data\.has_synthetic=false is not allowed: true without weak"),
        ({"has_synthetic": False, "has_weak": False, "has_strong_real": False}, r"nothing has labels$"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DesedConfig(**options)


def test_unreadable_files_are_counted_when_asked(root: Path) -> None:
    (root / "audio/train/weak/Yw5_30.000_40.000.wav").write_bytes(b"RIFF")
    splits = load(root, on_error="skip")
    assert splits.num_skipped["train"] == len(splits.skipped) == 1
    assert "Yw5_30.000_40.000.wav" not in {file_name(clip) for clip in splits.train}
    assert set(SUBSETS) - {"public"} == set(splits.subsets)


def test_a_folder_that_cannot_be_read_is_named_when_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(folder: Path, unreadable: list[str] | None = None) -> list[Path]:
        if unreadable is None:
            raise DataError(f"{folder}/closed: cannot be read (Permission denied)")
        unreadable.append(f"{folder}/closed: cannot be read (Permission denied)")
        return find_audio(folder, unreadable)

    monkeypatch.setattr(desed, "find_audio", closed)
    with pytest.raises(DataError, match=r"closed: cannot be read"):
        load(root)
    splits = load(root, on_error="skip")
    assert [message.rpartition("/")[2] for message in splits.skipped] == ["closed: cannot be read (Permission denied)"]
    assert counts(splits, "train")["unlabelled"] == 3
