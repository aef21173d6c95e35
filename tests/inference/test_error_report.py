"""The page about a model's errors: what it counts and lists, and what a browser shows (skipped without Chromium)."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.inference.error_report.choose import LONGEST_S, TOTAL_S, choose_errors, spans
from efficient_sed.inference.error_report.collected import ErrorReport
from efficient_sed.inference.error_report.find import FALSE_ALARM, MISS, NOTHING, Error, Kind, analyse
from efficient_sed.inference.error_report.write import write_error_report
from efficient_sed.inference.evaluate import start_scores, task_metrics
from efficient_sed.metrics.event.score import count_hits, match_events
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.median import Median

GRID = FrameGrid()
HOP_S = GRID.hop_s
MARKUP = "<img src=x onerror=alert(1)>"
CLASSES = ("dog", "siren", MARKUP)
THRESHOLDS = (0.5, 0.3, 0.7)
SECONDS = {"a": 10.0, "b": 4.0, "c": 30.0}
TRUTH = {
    "a": [Event(1.0, 2.0, "dog"), Event(4.0, 9.0, "siren"), Event(4.2, 5.0, MARKUP)],
    "b": [Event(0.0, 1.0, "dog")],
    "c": [Event(10.0, 29.0, "siren")],
}
FOUND = {  # event of each class and its score
    "a": [(1.04, 2.08, 0, 0.9), (5.0, 8.0, 0, 0.8), (4.0, 9.0, 1, 0.35), (4.2, 4.6, 2, 0.75), (9.4, 10.0, 1, 0.28)],
    "b": [(0.0, 1.0, 0, 0.45), (2.0, 3.0, 2, 0.99)],
    "c": [],
}


def make_scores() -> dict[str, np.ndarray]:
    scores = {clip: np.full((round(seconds / HOP_S), 3), 0.01, np.float32) for clip, seconds in SECONDS.items()}
    for clip, found in FOUND.items():
        for onset_s, offset_s, column, score in found:
            scores[clip][round(onset_s / HOP_S) : round(offset_s / HOP_S), column] = score
    return scores


def short(error: Error) -> tuple[Any, ...]:
    return (error.kind, error.clip, error.column, error.onset_s, error.other, round(error.score, 2))


def test_errors_of_known_events() -> None:
    found = analyse(SECONDS, TRUTH, make_scores(), THRESHOLDS, CLASSES, GRID)
    assert found.counts.tolist() == [[2, 2, 1], [2, 1, 1], [1, 2, 0]]
    assert [short(error) for error in found.errors] == [
        (FALSE_ALARM, "a", 0, 5.0, 1, 0.8),  # a dog where only the siren was on
        (MISS, "a", 2, 4.2, 2, 0.75),  # borders are off
        (FALSE_ALARM, "a", 2, 4.2, 2, 0.75),
        (MISS, "b", 0, 0.0, NOTHING, 0.45),  # below its threshold
        (FALSE_ALARM, "b", 2, 2.0, NOTHING, 0.99),
        (MISS, "c", 1, 10.0, NOTHING, 0.01),
    ]
    assert found.confusion(FALSE_ALARM) == {(0, 1): 1, (2, 2): 1, (2, NOTHING): 1}
    dogs = found.curves.curve(0)
    assert dogs.scores[:3] == pytest.approx([0.9, 0.8, 0.45])
    assert [dogs.hits[:3].tolist(), dogs.detected[:3].tolist()] == [[1, 1, 2], [1, 2, 3]]


times = st.integers(0, 20).map(lambda step: step / 10)
events = st.lists(
    st.tuples(times, times).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Event(*pair, "dog")), max_size=6
)


@given(events, events)
def test_matches_are_as_many_as_hits(truth: list[Event], detected: list[Event]) -> None:
    matched = match_events(truth, detected, has_offsets=False)
    pairs = [(index, other) for index, other in enumerate(matched.tolist()) if other >= 0]
    assert len(matched) == len(truth)
    assert len(pairs) == count_hits(truth, detected, has_offsets=False) == len({other for _, other in pairs})
    assert all(abs(truth[index].onset_s - detected[other].onset_s) <= 0.2 for index, other in pairs)


def make_error(
    column: int, score: float, kind: Kind = FALSE_ALARM, onset_s: float = 5.0, length_s: float = 1.0
) -> Error:
    return Error(kind, "a", column, onset_s, onset_s + length_s, score, onset_s + 0.1, NOTHING)


def test_choice_takes_turns() -> None:
    many = [make_error(0, score / 100) for score in range(100)]
    rare = [make_error(1, 0.2), make_error(2, 0.9, MISS), make_error(2, 0.1, MISS)]
    chosen = choose_errors([*many, *rare], 5)
    assert Counter(error.column for error in chosen) == {0: 2, 1: 1, 2: 2}
    assert [error.score for error in chosen if error.column == 0] == [0.99, 0.98]
    assert chosen[0].score == 0.99
    assert len(choose_errors(many, 1000)) == 100


@pytest.mark.parametrize("length_s", [0.02, 1.0, 60.0])
def test_excerpts_hold_the_peak_and_little_else(length_s: float) -> None:
    errors = [make_error(0, 0.5, onset_s=onset, length_s=length_s) for onset in np.linspace(0, 300, 300)]
    cut = list(spans(errors, [400.0] * 300, HOP_S))
    assert sum(span.length_s for span in cut) <= TOTAL_S + 300 * HOP_S
    for error, span in zip(errors, cut, strict=True):
        assert span.start_s <= error.peak_s <= span.start_s + span.length_s <= 400
        assert span.length_s <= LONGEST_S + HOP_S
        assert round(span.start_s / HOP_S, 6).is_integer()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for name, seconds in SECONDS.items():
        soundfile.write(folder / f"{name}.wav", rng.normal(size=round(seconds * 16_000)) * 0.1, 16_000)
    return [Clip(name, AudioFile(folder / f"{name}.wav"), seconds, ()) for name, seconds in SECONDS.items()]


@pytest.fixture(scope="module")
def file(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "errors.html"
    scores = make_scores()
    psds = PsdsAccumulator(CLASSES, list(SECONDS.values()), frame_hop_s=HOP_S)
    for clip in clips:
        psds.update(clip.id, scores[clip.id], TRUTH[clip.id], clip.duration_s)
    title = f"{MARKUP} on synthetic"
    write_error_report(path, clips, TRUTH, scores, THRESHOLDS, CLASSES, GRID, psds=psds.compute(), title=title)
    return path


@pytest.fixture(params=[(1400, "light"), (420, "dark")], ids=["wide", "narrow"])
def page(
    open_page: Callable[..., AbstractContextManager[Any]], file: Path, request: pytest.FixtureRequest
) -> Iterator[Any]:
    with open_page(file, *request.param) as page:
        page.wait_for_selector("#curves .curve")
        yield page


def test_in_a_browser(page: Any) -> None:
    def rows() -> list[str]:
        return page.locator("#table tbody tr").all_inner_texts()  # type: ignore[no-any-return]

    def column(number: int) -> list[str]:
        return page.locator(f"#table tbody td:nth-child({number})").all_inner_texts()  # type: ignore[no-any-return]

    assert page.inner_text("h1") == page.title() == f"Errors: {MARKUP} on synthetic"
    assert "3 clips, 0.0122 hours, 5 events: 2 found, 3 missed, 3 false alarms; F1 macro 0.389" in page.inner_text(
        "#about"
    )
    assert page.inner_text("#summary") == "6 of 6 errors."
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img").count() == 0
    dog = page.locator("#classes tbody tr", has_text="dog").locator("td").all_inner_texts()
    assert dog[:10] == ["dog", "0.5", "2", "1", "1", "1", "81.8", "0.500", "0.500", "0.500"]
    assert dog[-1].startswith("0.80 at 0.")
    assert page.locator("#roc path.line").count() == 4  # a class each, and their mean
    assert page.locator("#precision-recall circle").count() == 3
    assert page.locator("#confusion tbody button").all_inner_texts() == ["1", "1", "1"]
    assert column(5) == ["0.99", "0.01", "0.80", "0.75", "0.45", "0.75"]  # the most surprising first

    page.select_option("#kind", "miss")
    assert column(2) == ["miss"] * 3
    page.select_option("#kind", "")
    page.fill("#least", "3")
    assert column(6) == ["19.00", "3.00"]
    page.fill("#most", "5")
    assert column(6) == ["3.00"]
    page.click("#reset")
    page.fill("#clip", "b")
    assert len(rows()) == 2
    page.click("#reset")
    page.locator("#classes button", has_text="dog").click()
    assert column(3) == ["dog", "dog"]
    assert page.locator("#roc path.chosen").count() == page.locator("#precision-recall circle.chosen").count() == 1
    page.locator("#confusion tbody button").first.click()
    assert len(rows()) == 1
    page.click("#reset")
    page.locator("#table th[data-key='score'] button").click()
    assert column(5) == sorted(column(5), reverse=True)
    page.select_option("#confusion-kind", "miss")
    assert page.locator("#confusion tbody button").all_inner_texts() == ["1", "1", "1"]
    assert not any("NaN" in value for value in page.locator("svg *").evaluate_all("all => all.map((e) => e.outerHTML)"))


def test_each_error_is_heard_and_seen(page: Any) -> None:
    for number in range(6):
        page.locator("#table .play").nth(number).click()
        for _ in range(500):
            if page.evaluate("painted !== null && at('sound').currentTime > 0"):
                break
            page.wait_for_timeout(10)
        start, length, onset, offset = page.evaluate(
            "[state.chosen.start, state.chosen.length, state.chosen.onset, state.chosen.offset]"
        )
        assert page.evaluate("at('sound').currentTime") > 0
        assert page.evaluate("at('sound').duration") == pytest.approx(length, abs=0.001)
        assert page.locator("#table tr.chosen").count() == 1
        assert page.locator("#roll rect").count() >= 1
        mark, over = (page.locator(name).bounding_box() for name in ("#mark", "#spectrogram"))
        assert mark["x"] == pytest.approx(over["x"] + over["width"] * (onset - start) / length, abs=1)
        assert mark["width"] == pytest.approx(over["width"] * (offset - onset) / length, abs=1)
    page.locator("#list").focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate("shownErrors().indexOf(state.chosen)") == 4


def test_what_is_left_out_is_said(
    open_page: Callable[..., AbstractContextManager[Any]], clips: list[Clip], tmp_path: Path
) -> None:
    output = tmp_path / "a.html"
    write_error_report(output, clips, TRUTH, make_scores(), THRESHOLDS, CLASSES, GRID, max_errors=4)
    with open_page(output) as page:
        page.wait_for_selector("#curves .curve")
        assert page.inner_text("#summary").startswith("4 of 4 errors. 2 of all 6 errors are not on this page")
        assert not page.locator("#roc-figure").is_visible()  # no PSDS was given
    flawless: dict[str, list[Event]] = {"b": [], "a": [], "c": []}
    write_error_report(output, clips, flawless, make_scores(), [0.999] * 3, CLASSES, GRID)
    with open_page(output) as page:
        assert page.inner_text("#summary") == "0 of 0 errors."


@pytest.mark.parametrize("is_tuned", [True, False])
def test_the_page_has_the_psds_of_the_post_processing_that_its_events_have(
    clips: list[Clip], tmp_path: Path, is_tuned: bool
) -> None:
    own = Postprocessing(Chain((Median(61),)), thresholds=THRESHOLDS) if is_tuned else None
    known = [dataclasses.replace(clip, events=tuple(TRUTH[clip.id])) for clip in clips]
    collected = start_scores(
        EvaluationWindows(known, CLASSES, GRID, 30.0), "detection", EvaluationConfig(), 1,
        keeps_scores=True, keeps_clips=True, postprocessing=own,
    )  # fmt: skip
    for position, array in enumerate(make_scores().values()):
        collected.add(torch.tensor([position]), torch.from_numpy(array.T[None]), torch.zeros(1, len(CLASSES)))
    ErrorReport(tmp_path / "a.html").write(collected, EvaluationConfig())
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    data = json.loads(*re.findall(r'id="data">(.*?)</script>', page, re.DOTALL))
    macros = [task_metrics(collected, "detection")["psds1_macro"]]
    if collected.tuned is not None:
        macros.append(collected.tuned.entries(collected.metrics)["psds1_macro_tuned"])
    assert len(set(macros)) == 1 + is_tuned
    assert data["psds"]["macro"] == macros[-1]
    assert [own["threshold"] for own in data["classes"]] == (list(THRESHOLDS) if is_tuned else [0.5] * 3)
    assert data["postprocessing"] == ("with" if is_tuned else "without") + " tuned post-processing"


def test_the_page_is_small_and_holds_no_markup(file: Path) -> None:
    html = file.read_text(encoding="utf-8")
    assert "onerror=" not in re.sub(r'id="data">.*?</script>', "", html, flags=re.DOTALL)
    (text,) = re.findall(r'id="data">(.*?)</script>', html, re.DOTALL)
    seconds = sum(error["length"] for error in json.loads(text)["errors"])
    assert len(text) < 11_500 * seconds  # 1200 s of noise, which compresses worst, in less than 15 MB


def test_what_does_not_go_together(clips: list[Clip], tmp_path: Path) -> None:
    scores, output = make_scores(), tmp_path / "a.html"
    with pytest.raises(ConfigError, match=r"a\.htm is not allowed: a file that ends in \.html$"):
        write_error_report(tmp_path / "a.htm", clips, TRUTH, scores, THRESHOLDS, CLASSES, GRID)
    with pytest.raises(ConfigError, match=r"^max_errors=0 is not allowed: 1 to 2000"):
        write_error_report(output, clips, TRUTH, scores, THRESHOLDS, CLASSES, GRID, max_errors=0)
    with pytest.raises(DataError, match=r"^clip 'b' has no scores"):
        write_error_report(output, clips, TRUTH, {"a": scores["a"], "c": scores["c"]}, THRESHOLDS, CLASSES, GRID)
    scores["c"][3, 1] = np.nan
    with pytest.raises(DataError, match=r"^clip 'c': a score of class 'siren' is not a number \(nan in frame 3\)$"):
        write_error_report(output, clips, TRUTH, scores, THRESHOLDS, CLASSES, GRID)
    assert not output.exists()
