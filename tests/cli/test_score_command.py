"""`efficient-sed score`: scores of any model's tables, what is wrong with them, and results that others read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import TSV, Output, Run

import efficient_sed as es
from efficient_sed.experiment.result_file import read_result

HOP_S, SECONDS, CLASSES = 0.02, 2.0, ["dog", "siren", "rain, heavy"]
Folder = Path


def write_table(path: Path, scores: np.ndarray, borders_s: np.ndarray) -> None:
    table = pd.DataFrame({"onset": borders_s[:-1], "offset": borders_s[1:]})
    table[CLASSES] = scores
    table.round(6).to_csv(path, sep="\t", index=False, na_rep="nan")


def write_set(folder: Path, seed: int = 0, prefix: str = "clip", noise: float = 0.6) -> Path:
    """Tables of ten clips, their ground truth and durations."""
    rng = np.random.default_rng(seed)
    (folder / "scores").mkdir(parents=True)
    rows, lengths = [], ["filename\tduration\n"]
    for number in range(10):
        name, scores = f"{prefix}{number}", noise * rng.random((100, 3))
        for column in range(3) if number else ():  # the first clip has no events, and the truth does not name it
            first = int(rng.integers(0, 60))
            scores[first : first + 30, column] += 0.15 * rng.random() + 0.2
            rows.append(f"{name}.wav\t{first * HOP_S:.2f}\t{(first + 30) * HOP_S:.2f}\t{CLASSES[column]}\n")
        write_table(folder / "scores" / f"{name}.tsv", scores, np.arange(101) * HOP_S)
        lengths.append(f"{name}.wav\t{SECONDS}\n")
    (folder / "truth.tsv").write_text(TSV + "".join(rows))
    (folder / "durations.tsv").write_text("".join(lengths))
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_set(tmp_path / "own")


@pytest.fixture
def score(run: Run, own: Path) -> Callable[[str], Output]:
    def call(typed: str = "") -> Output:
        return run(f"score {own}/scores --truth {own}/truth.tsv --durations {own}/durations.tsv {typed}")

    return call


def test_score_equals_psds1_and_is_read_by_others(
    score: Callable[[str], Output], own: Path, run: Run, tmp_path: Path
) -> None:
    status, out, err = score(f"--output {tmp_path}/runs/mine --params 1e6 --macs 2e9 --name mine")
    assert (status, err) == (0, "")
    result = read_result(tmp_path / "runs" / "mine")
    assert result is not None
    files = own / "scores", own / "truth.tsv", own / "durations.tsv"
    expected = es.psds1(*files, classes=CLASSES, frame_hop_s=HOP_S)
    assert 0 < expected.macro < 1
    assert result["metrics"]["psds1_macro"] == expected.macro
    assert result["metrics"]["per_class"] == expected.per_class
    assert f"{expected.macro:.3f}" in out
    assert result["scored_from"]["command"].startswith(f"efficient-sed score {own}/scores --truth ")
    assert result["complexity"]["macs"] == 2e9
    tables = {path.stem: pd.read_csv(path, sep="\t") for path in files[0].iterdir()}
    in_memory = es.ScoreTables(tables, *(pd.read_csv(path, sep="\t") for path in files[1:]))
    assert es.score_tables(in_memory)["psds1_macro"] == expected.macro
    assert in_memory.truth_hash() == result["data"]["manifest_hash"]

    write_set(tmp_path / "other", noise=0.7)
    (own / "scores").rename(tmp_path / "first")
    (tmp_path / "other" / "scores").rename(own / "scores")
    assert score(f"--output {tmp_path}/runs/other/result.json").status == 0  # of the same truth, without costs
    assert score(f"--truth-format tsv --output {tmp_path}/runs/named").status == 0
    named = read_result(tmp_path / "runs" / "named")
    assert named is not None
    assert "--truth-format tsv" in named["scored_from"]["command"]
    shutil.rmtree(tmp_path / "runs" / "named")
    assert score("--truth-format audacity").status == 2
    status, out, err = run(f"compare {tmp_path}/runs/mine {tmp_path}/runs/other")
    assert (status, err) == (0, "")
    assert "p = " in out
    status, out, err = run(f"plot {tmp_path}/runs --output {tmp_path}/plot.png")
    assert status == 0
    assert "mine" in out
    assert "scored from tables" in (tmp_path / "plot.html").read_text()
    status, _, err = run(f"plot {tmp_path}/runs/other")
    assert status == 2
    assert "other: scored from tables without costs" in err


def test_npz_and_rows_of_unequal_length_are_the_same_scores(
    score: Callable[[str], Output], own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def value() -> float:
        assert score(f"--output {tmp_path}/result").status == 0
        return float(json.loads((tmp_path / "result" / "result.json").read_text())["metrics"]["psds1_macro"])

    steps = {}
    for path in sorted((own / "scores").iterdir()):
        scores = np.round(pd.read_csv(path, sep="\t")[CLASSES].to_numpy(), 1).repeat(2, axis=0)[:100].astype(np.float32)
        steps[path.stem] = scores
        path.unlink()
        applied = json.dumps([{"name": "median", "window": 9}])
        facts = {"classes": CLASSES, "hop_s": HOP_S, "postprocessing": applied}
        np.savez(own / "scores" / f"{path.stem}.npz", scores=scores, **facts)
    expected = value()
    assert "scores: were post-processed when they were written (median); " in caplog.text
    caplog.clear()
    (tmp_path / "again.json").write_text(json.dumps({"classes": CLASSES, "scores": [{"name": "median", "window": 3}]}))
    err = score(f"--postprocessing {tmp_path}/again.json").err
    assert "these scores went through median already; write raw ones" in err
    caplog.clear()
    for name, scores in steps.items():
        (own / "scores" / f"{name}.npz").unlink()
        starts = np.append(0, 1 + np.flatnonzero((np.diff(scores, axis=0) != 0).any(axis=1)))
        write_table(own / "scores" / f"{name}.tsv", scores[starts], np.append(starts, 100) * HOP_S)
    with caplog.at_level("INFO"):
        assert value() == pytest.approx(expected, abs=1e-12)
    assert "of 10 tables have rows of unequal length, expanded to frames of 0.04 s" in caplog.text
    assert "post-processed" not in caplog.text


def test_post_processing_that_is_tuned_on_other_scores(score: Callable[[str], Output], tmp_path: Path) -> None:
    other = write_set(tmp_path / "validation", seed=1, prefix="val")
    tune = f"--tune-on {other}/scores --tune-truth {other}/truth.tsv --tune-durations {other}/durations.tsv"
    options = "evaluation.postprocessing=median evaluation.event_postprocessing=median evaluation.min_events=3"
    status, out, err = score(f"{tune} {options} --output {tmp_path}/result")
    assert (status, err) == (0, "")
    assert "post-processed" in out
    metrics = json.loads((tmp_path / "result" / "result.json").read_text())["metrics"]
    assert metrics["psds1_macro_tuned"] != metrics["psds1_macro"]
    assert metrics["event_f1_macro_tuned"] > metrics["event_f1_macro"]
    chosen = json.loads((tmp_path / "result" / "result.json").read_text())["scored_from"]["postprocessing"]
    (tmp_path / "chosen.json").write_text(json.dumps({"classes": CLASSES, **chosen}))
    assert score(f"--postprocessing {tmp_path}/chosen.json --output {tmp_path}/again").status == 0
    again = json.loads((tmp_path / "again" / "result.json").read_text())["metrics"]
    assert again["psds1_macro_tuned"] == metrics["psds1_macro_tuned"]
    assert again["event_f1_macro_tuned"] == metrics["event_f1_macro_tuned"]
    chosen["thresholds"] = [0.5]
    (tmp_path / "chosen.json").write_text(json.dumps({"classes": ["cat"], **chosen}))
    assert "'dog'" in score(f"--postprocessing {tmp_path}/chosen.json").err


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def emptied(folder: Path) -> None:
    for path in (folder / "scores").iterdir():
        path.unlink()


def another_file(folder: Path) -> None:
    (folder / "scores" / "a.txt").touch()


def other_hop(folder: Path) -> None:
    write_table(folder / "scores" / "clip4.tsv", np.zeros((50, 3)), np.arange(51) * 0.04)


def no_common_frame(folder: Path) -> None:
    borders_s = np.append(0, np.cumsum(0.01 + 0.05 * np.random.default_rng(0).random(40)))
    write_table(folder / "scores" / "clip4.tsv", np.zeros((40, 3)), borders_s)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "scores" / name).unlink()


def nothing(folder: Path) -> None:
    pass


ROW = "clip3.wav\t"
BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "empty": (emptied, "", "scores={own}/scores: holds no TSV or npz file of scores"),
    "no table": (replaced("scores/clip1.tsv", "0.02\t", "loud\t"), "", "clip1.tsv: not a table of scores ("),
    "other file": (
        another_file,
        "",
        "holds a.txt, which is no TSV or npz file of scores",
    ),
    "classes": (
        replaced("scores/clip5.tsv", "siren", "sirens"),
        "",
        "clip 'clip5': the column 'siren' is missing; found: onset, offset, dog, sirens, rain, heavy",
    ),
    "truth without scores": (
        without("clip3.tsv"),
        "",
        "durations names the file 'clip3.wav', of which there are no scores",
    ),
    "duration missing": (
        replaced("durations.tsv", "clip3.wav\t2.0\n", "x.wav\t2.0\n"),
        "",
        "scores and durations name different clips: 1 of 10 clips with scores are not in durations, such as 'clip3'; "
        "1 files in durations have no scores, such as 'x.wav'",
    ),
    "truth of no clip": (
        replaced("truth.tsv", ROW, "clip33.wav\t"),
        "",
        "ground_truth names the file 'clip33.wav', of which there are no scores",
    ),
    "too short": (
        replaced("durations.tsv", "clip3.wav\t2.0", "clip3.wav\t0.5"),
        "",
        "clip 'clip3': ",
    ),
    "too long": (
        replaced("durations.tsv", "clip3.wav\t2.0", "clip3.wav\t20"),
        "",
        "clip 'clip3': its scores cover 2 s, but it lasts 20 s; correct its duration",
    ),
    "no duration": (replaced("durations.tsv", "clip3.wav\t2.0", "clip3.wav\t"), "", "durations: 'clip3.wav' has dura"),
    "negative": (replaced("durations.tsv", "clip3.wav\t2.0", "clip3.wav\t-1"), "", "clip 'clip3': duration -1.0 must"),
    "label": (
        replaced("truth.tsv", "siren", "sirn"),
        "",
        "event label 'sirn' is not among the 3 classes; did you mean",
    ),
    "nan": (
        lambda folder: write_table(folder / "scores" / "clip2.tsv", np.full((100, 3), np.nan), np.arange(101) * HOP_S),
        "",
        "clip 'clip2': a score of class 'dog' is not a number (nan in frame 0)",
    ),
    "hops": (
        other_hop,
        "",
        "clip 'clip4': its table has frames of 0.04 s, that of 'clip0' of 0.02 s; all tables must have one grid",
    ),
    "irregular": (no_common_frame, "", "scores: rows of their tables are multiples of no common frame of 0.001 s"),
    "gap": (
        replaced("scores/clip6.tsv", "\n0.04\t", "\n0.05\t"),
        "",
        "clip 'clip6': row ",
    ),
    "no truth": (nothing, "--truth {own}/absent.tsv", "{own}/absent.tsv: no such annotation file"),
    "column": (nothing, "--durations {own}/truth.tsv", "truth.tsv: column 'duration' is missing"),
    "no class": (nothing, "--classes dog,cat", "classes: 'cat' is no column of the tables; "),
    "class twice": (nothing, "--classes dog,dog", "classes=dog,dog is not allowed: labels of the tables, each once"),
    "costs": (nothing, "--params 5 --output {own}/o", "--params and --macs go together: give both, or neither"),
    "no costs": (nothing, "--params 0 --macs 5 --output {own}/o", "--params 0.0 is not allowed: a number from 1 on"),
    "params": (nothing, "--params nan --macs 5 --output {own}/o", "--params nan is not allowed: a number from 1 on"),
    "name": (nothing, "--name mine", "--name belongs to a result; add --output DIR"),
    "output": (nothing, "--output {own}/o.png", "--output {own}/o.png is not allowed: a folder, or result.json in one"),
    "place": (nothing, "--output {own}/truth.tsv/o", "--output {own}/truth.tsv/o: "),
    "key": (nothing, "seq=gru", "seq=gru: score takes scores as they are; allowed: evaluation.KEY=VALUE"),
    "tune": (nothing, "--tune-on {own}/scores", "--tune-on, --tune-truth and --tune-durations go together"),
    "tuned on test": (
        nothing,
        "--tune-on {own}/scores --tune-truth {own}/truth.tsv --tune-durations {own}/durations.tsv",
        "--tune-on: 10 clips are scored too, such as 'clip0'; tune on other clips",
    ),
    "no file": (nothing, "--postprocessing {own}/absent.json", "{own}/absent.json: cannot be read"),
}


@pytest.mark.parametrize(("change", "typed", "message"), BAD.values(), ids=list(BAD))
def test_what_is_wrong_is_named(
    change: Callable[[Path], None], typed: str, message: str, own: Path, score: Callable[[str], Output]
) -> None:
    change(own)
    is_whole = "--output" in typed or "--name" in typed
    status, out, err = score(typed.format(own=own) + ("" if is_whole else f" --output {own}/o"))
    assert (status, out) == (2, "")
    assert message.format(own=own) in err
    assert err.count("\n") == 1
    assert not (own / "o").exists()


def test_a_result_of_a_training_is_not_replaced(score: Callable[[str], Output], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text('{\n "model": "fmn04"\n}')
    status, out, err = score(f"--output {tmp_path}/run")
    assert (status, out) == (2, "")
    assert "another file is there already" in err
