"""What users of sed_scores_eval and psds_eval have in hand is read by `psds1`, or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from efficient_sed.errors import DataError
from efficient_sed.metrics.psds.result import PsdsResult
from efficient_sed.metrics.psds.score import psds1

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it needs
    from sed_scores_eval.base_modules.io import write_sed_scores
    from sed_scores_eval.base_modules.scores import create_score_dataframe

CLASSES = ["dog", 'say "hi"', "cat"]
HOP_S, SECONDS = 1024 / 44_100, 1.0
CLIPS = ["clip1", "clip 2", "clip.3"]
TRUTH = {"clip1": [(0.2, 0.5, "dog"), (0.6, 0.9, "cat")], "clip 2": [(0.0, 0.4, 'say "hi"')], "clip.3": []}
SCORES = {clip: 0.1 * np.random.default_rng(index).random((44, 3)) for index, clip in enumerate(CLIPS)}
for clip, events in TRUTH.items():
    for onset, offset, label in events:
        SCORES[clip][round(onset / HOP_S) : round(offset / HOP_S), CLASSES.index(label)] += 0.6 * (label != "cat")


def tables(order: list[int] = [2, 0, 1]) -> dict[str, pd.DataFrame]:  # noqa: B006
    borders = np.minimum(np.arange(45) * HOP_S, SECONDS)  # the last frame is cut
    labels = [CLASSES[column] for column in order]
    return {clip: create_score_dataframe(array[:, order], borders, labels) for clip, array in SCORES.items()}


def truth_table(ending: str = ".wav") -> pd.DataFrame:
    rows = [(clip + ending, *event) for clip, events in TRUTH.items() for event in events]
    empty = ("clip.3" + ending, np.nan, np.nan, np.nan)
    return pd.DataFrame([*rows, empty], columns=["filename", "onset", "offset", "event_label"])


def duration_table(ending: str = ".wav") -> pd.DataFrame:
    return pd.DataFrame({"filename": [clip + ending for clip in CLIPS], "duration": SECONDS})


def score(scores: Any = SCORES, truth: Any = TRUTH, durations: Any = None, hop_s: float = HOP_S) -> PsdsResult:
    lengths = dict.fromkeys(CLIPS, SECONDS) if durations is None else durations
    return psds1(scores, truth, lengths, classes=CLASSES, frame_hop_s=hop_s)


def test_tables_and_files_give_the_same(tmp_path: Path) -> None:
    expected = score()
    assert 0 < expected.macro < 1
    write_sed_scores(tables(), tmp_path / "scores")
    truth_table().to_csv(tmp_path / "truth.tsv", sep="\t", index=False, quoting=3, escapechar="\\", doublequote=False)
    duration_table().to_csv(tmp_path / "durations.tsv", sep="\t", index=False)
    for scores in (tables(), tables([0, 1, 2]), tmp_path / "scores", str(tmp_path / "scores")):
        assert score(scores).per_class == expected.per_class
    for truth in (truth_table(), truth_table(""), truth_table()[:-1]):
        assert score(truth=truth).per_class == expected.per_class
    for durations in (duration_table(), duration_table(""), tmp_path / "durations.tsv"):
        assert score(durations=durations).per_class == expected.per_class


def test_a_tsv_file_of_events(tmp_path: Path) -> None:
    path = tmp_path / "truth.tsv"
    path.write_text("filename\tonset\toffset\tevent_label\nx.wav\t0.0\t0.5\tdog\n")
    result = psds1({"x": np.eye(2)[:, :1]}, path, {"x": 1.0}, classes=["dog"], frame_hop_s=0.5)
    assert result.per_class == {"dog": 1.0}


NFC, NFD = "\u00e9", "e\u0301"


def test_both_spellings_of_unicode_are_one(tmp_path: Path) -> None:
    """File names of macOS come in NFD, what people type in NFC; results keep the labels as they were typed."""
    times = {"onset": [0.0, 0.5], "offset": [0.5, 1.0]}
    for ours, theirs in ((NFC, NFD), (NFD, NFC)):
        (tmp_path / ours).mkdir()
        pd.DataFrame({**times, theirs: [1.0, 0.0]}).to_csv(tmp_path / ours / f"{ours}.tsv", sep="\t", index=False)
        truth = pd.DataFrame(
            [[f"{theirs}.wav", 0.0, 0.5, theirs]], columns=["filename", "onset", "offset", "event_label"]
        )
        truth.to_csv(tmp_path / "truth.tsv", sep="\t", index=False)
        lengths = pd.DataFrame({"filename": [f"{theirs}.wav"], "duration": [1.0]})
        for scores in (tmp_path / ours, {ours: pd.DataFrame({**times, theirs: [1.0, 0.0]})}, {ours: [[1.0], [0.0]]}):
            for events in (truth, tmp_path / "truth.tsv", {theirs: [(0.0, 0.5, theirs)]}):
                for durations in (lengths, {theirs: 1.0}):
                    found = psds1(scores, events, durations, classes=[ours], frame_hop_s=0.5)
                    assert found.per_class == {ours: 1.0}
    with pytest.raises(DataError, match=r"^scores: .* are one name in two Unicode spellings"):
        psds1({clip: [[1.0]] for clip in (NFC, NFD)}, {}, {}, classes=["dog"], frame_hop_s=0.5)


@pytest.mark.parametrize(
    ("clips", "names", "problem"),
    [
        (["take"], ["take.wav"], ""),
        (["a.wav"], ["a"], ""),
        (["a.wav", "a.flac"], ["a.wav", "a.flac"], ""),
        (["x/take.1"], ["./x/take.1.OGG"], ""),
        (["take"], ["take.1"], "names the file 'take.1', of which there are no scores"),
        (["a.wav"], ["a.flac"], "names the file 'a.flac', of which there are no scores"),
        (["a.wav", "a.flac"], ["a"], "names the file 'a', which may be 'a.flac' or 'a.wav' of the scores"),
        (["a"], ["a.wav", "a.flac"], "names the files 'a.wav' and 'a.flac', but there are scores of 'a' alone"),
    ],
)
def test_a_file_belongs_to_one_clip(clips: list[str], names: list[str], problem: str) -> None:
    truth = pd.DataFrame(
        [[name, 0.0, 1.0, "dog"] for name in names], columns=["filename", "onset", "offset", "event_label"]
    )
    given = {clip: [[1.0]] for clip in clips}, truth, dict.fromkeys(clips, 1.0)
    if not problem:
        assert psds1(*given, classes=["dog"], frame_hop_s=1.0).per_class == {"dog": 1.0}
        return
    with pytest.raises(DataError) as caught:
        psds1(*given, classes=["dog"], frame_hop_s=1.0)
    assert str(caught.value) == f"ground_truth {problem}"


def changed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return tables() | {"clip 2": change(tables()["clip 2"])}


def moved(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[4, "onset"] += 0.001
    return table


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "list": (
        {"scores": list(SCORES.values())},
        "scores is a list; needed: a mapping from clip to an array (frames, classes) or a score table",
    ),
    "one table": (
        {"scores": tables()["clip1"]},
        "scores is a DataFrame; needed: a mapping from clip to an array (frames, classes)",
    ),
    "no folder": ({"scores": "absent/"}, "scores=absent: no such folder; needed: a folder with a TSV file a clip"),
    "a file": ({"scores": __file__}, f"scores={__file__}: a file; needed: a folder"),
    "columns": (
        {"scores": changed(lambda table: table.drop(columns="dog"))},
        "clip 'clip 2': the column 'dog' is missing; found: onset, offset, cat",
    ),
    "more columns": (
        {"scores": changed(lambda table: table.assign(cow=0))},
        "clip 'clip 2': its table has the column 'cow', which is none of the 3 classes",
    ),
    "text": (
        {"scores": changed(lambda table: table.assign(dog="loud"))},
        "clip 'clip 2': its table holds something else than numbers (",
    ),
    "irregular": (
        {"scores": changed(moved)},
        "clip 'clip 2': row 5 of its table covers 0.0938798 to 0.1161 s; with frame_hop_s=0.02322",
    ),
    "begins late": (
        {"scores": changed(lambda table: table[1:])},
        "clip 'clip 2': row 1 of its table covers 0.02322 to 0.0464399 s",
    ),
    "hop": (
        {"scores": tables(), "hop_s": 0.04},
        "clip 'clip1': row 1 of its table covers 0 to 0.02322 s; with frame_hop_s=0.04 it must",
    ),
    "nan": (
        {"scores": changed(lambda table: table.assign(cat=np.nan))},
        "clip 'clip 2': a score of class 'cat' is not a number (nan in frame 0)",
    ),
    "truth list": (
        {"truth": list(TRUTH.values())},
        "ground_truth is a list; needed: a mapping from clip to its events (onset_s, offset_s, label), or a",
    ),
    "truth columns": (
        {"truth": truth_table().drop(columns="onset")},
        "ground_truth: the column 'onset' is missing; found: filename, offset, event_label",
    ),
    "truth name": (
        {"truth": truth_table("x")},
        "ground_truth names 3 files, of which there are no scores, such as 'clip1x'",
    ),
    "truth times": (
        {"truth": truth_table()[:-1].assign(onset="soon")},
        "clip 'clip1': event 'dog' has onset 'soon' and offset 0.5; needed: seconds as numbers",
    ),
    "truth weight": (
        {"truth": truth_table().assign(Confidence=[1.0, None, 0.0, 1.0])},
        "ground_truth: row 3, 'clip 2.wav': Confidence=0.0, but labels with a weight are not supported",
    ),
    "truth label": (
        {"truth": truth_table().replace("cat", None)},
        "ground_truth: row 2, 'clip1.wav': onset without event_label",
    ),
    "truth filename": (
        {"truth": truth_table().astype("string").replace("clip1.wav", pd.NA)},
        "ground_truth: row 1: the filename is empty",
    ),
    "clip's events in a table": (
        {"truth": {clip: truth_table()[["onset", "offset", "event_label"]] for clip in CLIPS}},
        "clip 'clip1': its events are a DataFrame; needed: a list of (onset_s, offset_s, label)",
    ),
    "event by keys": (
        {"truth": {clip: [{"onset": 0.0, "offset": 0.5, "event_label": "dog"}] for clip in CLIPS}},
        "clip 'clip1': one of its events is a dict; needed: a list of (onset_s, offset_s, label)",
    ),
    "no truth file": ({"truth": "absent.tsv"}, "absent.tsv: no such annotation file"),
    "number": (
        {"durations": 10.0},
        "durations is a float; needed: a mapping from clip to its length in seconds, or a table",
    ),
    "durations miss one": (
        {"durations": duration_table()[:-1]},
        "scores and durations name different clips: 1 of 3 clips with scores are not in durations, such as 'clip.3'",
    ),
    "durations twice": (
        {"durations": pd.concat([duration_table(), duration_table().assign(duration=2.0)])},
        "durations: 'clip1.wav' is there twice, with 1 s and 2 s",
    ),
    "no durations file": ({"durations": "absent.tsv"}, "absent.tsv: cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=list(BAD))
def test_what_makes_no_sense_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        score(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onset\toffset\tdog\n0.0\t0.5\n", "x.tsv: has 3 names of columns for 2 columns"),
        ("onset\toffset\tdog\n0.0\t0.5\tloud\n", "x.tsv: not a table of scores (could not convert string 'loud'"),
        ("onset\toffset\tdog\n0.0\t0.5\t0.1\n0.5\t1.0\n", "x.tsv: not a table of scores ("),
        ("onset\toffset\tdog\n", "clip 'x': scores have shape (0, 1); needed: at least one frame"),
        ("", "clip 'x': the column 'onset' is missing; found: "),
    ],
)
def test_damaged_score_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.tsv").write_text(text)
    with pytest.raises(DataError) as caught:
        psds1(tmp_path, {"x": [(0.0, 0.5, "dog")]}, {"x": 1.0}, classes=["dog"], frame_hop_s=0.5)
    assert message in str(caught.value)
    (tmp_path / "x.tsv").rename(tmp_path / "x.NPZ")
    with pytest.raises(DataError, match=r"x\.NPZ: not a file of scores \("):
        psds1(tmp_path, {"x": []}, {"x": 1.0}, classes=["dog"], frame_hop_s=0.5)
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(DataError, match=r"holds notes\.md, which is no TSV or npz file of scores$"):
        psds1(tmp_path, {"x": []}, {"x": 1.0}, classes=["dog"], frame_hop_s=0.5)
