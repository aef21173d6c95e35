"""The page about one recording: in a browser it finds the events that Python finds (skipped without Chromium)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.annotations.contract import format_events
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.inference.report import check_report, write_report
from efficient_sed.postprocessing.events import decode_stream

RATE = 16_000
GRID = FrameGrid()
SECONDS = 23.97  # the last frame is cut
CLICK_S = 7.5
THRESHOLD = 0.37
MARKUP, ENDING, QUOTED, NEVER, BEEP = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    '"quoted" ä',
    "never heard",
    "beep",
)
CLASSES = [MARKUP, NEVER, BEEP, ENDING, QUOTED]
NAME = "a/<img src=x onerror=alert(3)>.wav"
WIDE, NARROW = (1280, "light"), (380, "dark")
on_both = pytest.mark.parametrize("page", [WIDE, NARROW], ids=["wide", "narrow"], indirect=True)


def make_scores() -> np.ndarray:
    """Random walks in [0, 1] that meet thresholds exactly: float32 has 0.7 below and 0.1 above the typed number."""
    rng = np.random.default_rng(0)
    walks = np.abs(np.cumsum(rng.normal(size=(600, len(CLASSES))) * 0.08, axis=0)) % 2
    scores = np.minimum(walks, 2 - walks).astype(np.float32)
    scores[::7] = np.round(scores[::7], 2)
    scores[:, CLASSES.index(NEVER)] *= 0.04
    scores[:, CLASSES.index(BEEP)] = 0.03
    scores[100:103, CLASSES.index(BEEP)] = [0.37, 0.03125, 0.7]
    return scores


def events_at(threshold: float) -> list[Event]:
    return sorted(decode_stream([make_scores()], CLASSES, GRID, threshold, SECONDS))


def tsv_at(threshold: float) -> str:
    return format_events({NAME: events_at(threshold)}, "tsv")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faint noise with a click in stereo at another rate."""
    path = tmp_path_factory.mktemp("recording") / "a.wav"
    samples = np.random.default_rng(0).normal(size=(round(SECONDS * 44_100), 2)) * 1e-3
    samples[round(CLICK_S * 44_100) : round(CLICK_S * 44_100) + 40] = 0.9
    soundfile.write(path, samples, 44_100)
    return path


@pytest.fixture(scope="module")
def file(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, recording, make_scores(), CLASSES, GRID.hop_s, THRESHOLD, name=NAME, model="<b>m</b>")
    return path


@pytest.fixture
def page(
    open_page: Callable[..., AbstractContextManager[Any]], file: Path, request: pytest.FixtureRequest
) -> Iterator[Any]:
    with open_page(file, *getattr(request, "param", WIDE)) as page:
        page.wait_for_selector("#curves .curve")
        wait_until(page, "at('sound').readyState >= 1")
        yield page


def wait_until(page: Any, condition: str) -> None:
    """Playwright's own way evaluates text inside the page, which its security policy forbids."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"it never came true: {condition}")


def cursor_s(page: Any) -> float:
    """Where in the recording the cursor is drawn, which must lie within its pictures."""
    box, over = (page.locator(name).bounding_box() for name in ("#cursor", "#spectrogram"))
    share = (box["x"] + box["width"] / 2 - over["x"]) / over["width"]
    assert -0.01 <= share <= 1.01
    assert box["height"] > page.locator("#curves").bounding_box()["height"] + over["height"]
    return float(page.evaluate("([share]) => state.view.start + share * state.view.length", [share]))


@on_both
def test_first_sight(page: Any) -> None:
    events = events_at(THRESHOLD)
    labels = {event.label for event in events}
    assert page.title() == "<img src=x onerror=alert(3)>.wav" == page.inner_text("h1")
    assert page.inner_text("#summary") == f"{len(events)} events of {len(labels)} classes at threshold 0.37"
    assert page.locator("#roll rect").count() == len(events) == page.locator("#table tbody tr").count()
    assert page.locator("#roll .event").count() == len(labels)
    assert page.locator("#curves .curve path").count() == 4  # one class never reaches 0.05
    assert NEVER not in page.inner_text("main")
    assert page.locator("#frequencies").inner_text().split("\n") == ["250 Hz", "500 Hz", "1 kHz", "2 kHz", "4 kHz"]
    assert page.locator("#times").inner_text().endswith(" s")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img").count() == 0
    for label in (MARKUP, ENDING):
        assert page.locator("#roll .name", has_text=label).count() == 1


def test_every_threshold_gives_pythons_events(page: Any) -> None:
    seen = set()
    for threshold in [
        0.05,
        0.1,
        0.123456,
        0.25,
        THRESHOLD,
        0.5,
        0.7,
        0.99,
        *np.random.default_rng(0).uniform(0.05, 0.99, 30),
    ]:
        found = page.evaluate(
            "(threshold) => findEvents(classes, classes.map(() => threshold), DATA.hop, DATA.duration)", threshold
        )
        expected = events_at(threshold)
        assert [Event(*(each[key] for key in ("onset", "offset", "label", "score"))) for each in found] == expected
        seen.add(len(expected))
    assert len(seen) > 15


@on_both
def test_the_slider_and_the_number_move_the_threshold(page: Any) -> None:
    for threshold in (0.05, 0.1, 0.7, 0.92):
        page.locator("#threshold").fill(str(threshold))
        events = events_at(threshold)
        assert page.locator("#threshold-number").input_value() == str(threshold)
        assert page.inner_text("#summary").startswith(
            f"{len(events)} events of {len({event.label for event in events})} class"
        )
        assert page.locator("#roll rect").count() == len(events) == page.locator("#table tbody tr").count()
        assert page.locator("line.threshold").first.get_attribute("y1") == page.evaluate(
            "(value) => String(1 - value)", threshold
        )
    page.fill("#threshold-number", "0.123")
    assert page.locator("#table tbody tr").count() == len(events_at(0.123))
    for refused in ("0", "2", ""):
        page.fill("#threshold-number", refused)
        assert page.evaluate("state.scale") == 0.123
    page.locator("#threshold").press("ArrowRight")
    assert page.evaluate("state.scale") > 0.123


@on_both
def test_the_cursor_is_where_the_sound_is(page: Any) -> None:
    assert page.evaluate("at('sound').duration") == pytest.approx(SECONDS, abs=0.001)
    for seconds in (0.0, 4.5, 12.0, 23.9):
        page.evaluate(
            "async (seconds) => { at('sound').currentTime = seconds; "
            "await new Promise((done) => { at('sound').onseeked = done; }); }",
            seconds,
        )
        assert cursor_s(page) == pytest.approx(seconds, abs=0.1)


@on_both
def test_a_click_anywhere_moves_the_sound(page: Any) -> None:
    for name in ("#spectrogram", "#roll .lane >> nth=0", "#curves .lane >> nth=1"):
        box = page.locator(name).bounding_box()
        page.locator(name).click(position={"x": box["width"] * 0.25, "y": box["height"] / 2})
        assert page.evaluate("at('sound').currentTime") == pytest.approx(SECONDS / 4, abs=0.1)
        assert cursor_s(page) == pytest.approx(SECONDS / 4, abs=0.1)
        page.evaluate("at('sound').currentTime = 0")
    page.locator("#table tbody tr button").last.click()
    assert page.evaluate("at('sound').currentTime") == events_at(THRESHOLD)[-1].onset_s


def test_keys(page: Any) -> None:
    page.keyboard.press("Space")
    wait_until(page, "!at('sound').paused && at('sound').currentTime > 0.2")
    moving = cursor_s(page)
    wait_until(page, f"at('sound').currentTime > {moving + 0.2}")
    page.keyboard.press("Space")
    assert page.evaluate("at('sound').paused")
    assert cursor_s(page) > moving
    before = page.evaluate("at('sound').currentTime")
    for key, seconds in (("ArrowRight", 1), ("Shift+ArrowRight", 5), ("ArrowLeft", -1)):
        page.keyboard.press(key)
        after = page.evaluate("at('sound').currentTime")
        assert after - before == pytest.approx(seconds, abs=0.01)
        before = after
    page.locator("#save").focus()
    with page.expect_download():
        page.keyboard.press("Space")  # what a button is for
    assert page.evaluate("at('sound').paused")


@on_both
def test_a_closer_look_follows_the_sound(page: Any) -> None:
    assert page.locator("#zoom option").all_inner_texts() == ["all", "20 s", "5 s"]
    page.select_option("#zoom", "5")
    assert page.evaluate("[state.view.start, state.view.length]") == [0, 5]
    for seconds in (20.0, 3.0):
        page.evaluate("(seconds) => seek(seconds)", seconds)
        assert cursor_s(page) == pytest.approx(seconds, abs=0.05)
        assert page.locator("#roll .lane").first.get_attribute("viewBox").split()[2] == "5"
    values = page.locator("#tracks path, #tracks rect").evaluate_all("marks => marks.map((mark) => mark.outerHTML)")
    assert not any("NaN" in value for value in values)


def test_the_click_is_heard_where_it_was(page: Any) -> None:
    """The encoder puts silence before the sound; the file says how much, and browsers leave it out."""
    place, length = page.evaluate("""async () => {
        const decoded = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(unpack(DATA.sound).buffer);
        const samples = decoded.getChannelData(0).map(Math.abs);
        return [samples.indexOf(samples.reduce((a, b) => Math.max(a, b))) / 16000, decoded.duration];
    }""")
    assert place == pytest.approx(CLICK_S, abs=0.005)
    assert length == pytest.approx(SECONDS, abs=0.001)
    loud = page.evaluate("""() => {
        const { width, height } = painted;
        const data = painted.getContext("2d").getImageData(0, 0, width, height).data;
        const column = (x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x)]);
        const sums = Array.from({ length: width }, (_, x) => column(x).reduce((a, b) => a + b));
        return sums.indexOf(Math.max(...sums)) * DATA.spectrogram.columnSeconds;
    }""")
    assert loud == pytest.approx(CLICK_S, abs=0.03)


@on_both
def test_the_table_is_sorted_and_saved(page: Any) -> None:
    def column(number: int) -> list[str]:
        return page.locator(f"#table tbody td:nth-child({number})").all_inner_texts()  # type: ignore[no-any-return]

    assert column(1) == [f"{event.onset_s:.2f}" for event in events_at(THRESHOLD)]
    page.locator("th[data-key='score'] button").click()
    assert column(4) == sorted(column(4), reverse=True)
    page.locator("th[data-key='label'] button").click()
    assert [label for label, before in zip(column(3), [None, *column(3)], strict=False) if label != before] == list(
        dict.fromkeys(column(3))
    )
    assert page.locator("th[data-key='label']").get_attribute("aria-sort") == "ascending"
    for threshold in (THRESHOLD, 0.05, 0.97):
        page.fill("#threshold-number", str(threshold))
        with page.expect_download() as download:
            page.locator("#save").click()
        assert Path(download.value.path()).read_bytes().decode() == tsv_at(threshold)
    assert download.value.suggested_filename.endswith(".tsv")


def test_more_curves_are_shown_when_asked_for(
    open_page: Callable[..., AbstractContextManager[Any]], recording: Path, tmp_path: Path
) -> None:
    labels = [*(f"class {number}" for number in range(29)), f"class 29 {'w' * 300}"]
    scores = np.tile(np.linspace(0.06, 0.9, 30, dtype=np.float32), (600, 1))
    levels = dict.fromkeys(labels, 0.5) | {labels[0]: 0.018175162374973297}  # as tuned
    write_report(tmp_path / "a.html", recording, scores, labels, GRID.hop_s, levels, name="n" * 300, model="m" * 300)
    with open_page(tmp_path / "a.html", 380) as page:
        page.wait_for_selector("#curves .curve")
        assert page.locator("#curves .curve").count() == 12
        assert page.locator("#curves .name").first.inner_text().startswith("class 29")
        page.get_by_role("button", name="Show all 30 classes that reach 0.018", exact=True).click()
        assert page.locator("#curves .curve").count() == 30
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


TRUTH = [Event(1.0, 2.5, BEEP), Event(3.0, 4.0, BEEP), Event(0.0, 20.0, NEVER), Event(5.0, 6.0, "of another model")]
OWN = {MARKUP: 0.6, NEVER: 0.5, BEEP: 0.3, ENDING: 0.9, QUOTED: 0.4}


def test_truth_and_thresholds_of_classes(
    open_page: Callable[..., AbstractContextManager[Any]], recording: Path, tmp_path: Path
) -> None:
    def expected(thresholds: dict[str, float]) -> list[Event]:
        found = {threshold: events_at(threshold) for threshold in set(thresholds.values())}
        return [event for label, level in thresholds.items() for event in found[level] if event.label == label]

    write_report(tmp_path / "a.html", recording, make_scores(), CLASSES, GRID.hop_s, OWN, truth=TRUTH)
    with open_page(tmp_path / "a.html", 420, "dark") as page:
        page.wait_for_selector("#curves .curve")
        found = expected(OWN)
        text = f"{len(found)} events of 4 classes at thresholds from 0.3 to 0.9; 4 in the truth"
        assert page.inner_text("#summary") == text
        assert page.locator("#roll rect.truth").count() == len(TRUTH)
        assert page.locator("#roll rect.found").count() == len(found)
        assert page.inner_text("#unknown") == "In the truth, and no class of the model: of another model."
        page.fill("#threshold-number", "0.5")  # of all thresholds
        assert page.locator("#roll rect.found").count() == len(expected({key: own / 2 for key, own in OWN.items()}))
        page.get_by_label(f"Threshold of {QUOTED}").fill("0.25")
        halved = {key: own / 2 for key, own in OWN.items()} | {QUOTED: 0.25}
        assert page.locator("#roll rect.found").count() == len(expected(halved))
        page.fill("#threshold-number", "1")
        assert page.locator("#roll rect.found").count() == len(expected(OWN | {QUOTED: 0.5}))
        assert page.get_by_label(f"Threshold of {QUOTED}").input_value() == "0.5"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    with pytest.raises(ConfigError, match=r"^threshold: there is none for class 'beep'; give one for each"):
        write_report(
            tmp_path / "a.html", recording, make_scores(), CLASSES, GRID.hop_s, {MARKUP: 0.6, NEVER: 0.5, ENDING: 0.9}
        )


@pytest.mark.parametrize("num_samples", [1, 160])
def test_hardly_any_sound(
    open_page: Callable[..., AbstractContextManager[Any]], tmp_path: Path, num_samples: int
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(num_samples), RATE)
    write_report(tmp_path / "a.html", tmp_path / "a.wav", np.zeros((1, 2), dtype=np.float32), ["a", "b"], GRID.hop_s)
    with open_page(tmp_path / "a.html") as page:
        page.get_by_text("No class reaches 0.05.").wait_for()
        assert page.inner_text("#roll") == "No events at this threshold."
        assert page.inner_text("#summary") == "0 events of 0 classes at threshold 0.5"
        assert page.evaluate("toTsv(events, DATA.name, DATA.tsvColumns)") == format_events(
            {str(tmp_path / "a.wav"): []}, "tsv"
        )


def test_nothing_of_labels_and_names_is_markup(file: Path) -> None:
    html = file.read_text(encoding="utf-8")
    assert len(re.findall(r"</?script", html)) == 4
    assert "onerror=" not in re.sub(r'id="data">.*?</script>', "", html, flags=re.DOTALL)
    assert not re.search(r"<[a-z]+[^>]* (src|href)=\"(?!data:,)", html)  # nothing is fetched


def test_a_threshold_below_all_that_is_usual(recording: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "a.html", recording, make_scores(), CLASSES, GRID.hop_s, 0.02)
    (text,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "a.html").read_text(encoding="utf-8"), re.DOTALL)
    data = json.loads(text)
    assert (data["threshold"], data["lowest"]) == (0.02, 0.02)
    assert NEVER in data["classes"]


def test_pages_are_small(file: Path) -> None:
    assert file.stat().st_size < 260_000 + 10_000 * SECONDS


def test_pytorch_is_not_needed(recording: Path, tmp_path: Path) -> None:
    code = f"""
import sys; sys.modules["torch"] = sys.modules["matplotlib"] = None
import numpy as np
from efficient_sed.inference.report import write_report
write_report({str(tmp_path / "a.html")!r}, {str(recording)!r}, np.full((600, 1), 0.6, dtype=np.float32), ["dog"], 0.04)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_what_cannot_be_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    check_report(Path("a.HTML"), 3600.0)
    with pytest.raises(ConfigError, match=r"^report=a\.htm is not allowed: a file that ends in \.html$"):
        check_report(Path("a.htm"), 10.0)
    with pytest.raises(
        ConfigError,
        match=r"^a report holds 60 minutes of sound, and the recording has 75\.0; "
        r"cut it, or take --format npz for its scores$",
    ):
        check_report(Path("a.html"), 4500.0)
    monkeypatch.setattr(soundfile, "available_formats", dict)
    with pytest.raises(
        ConfigError,
        match=r"^a report stores sound as MP3, which libsndfile [\d.]+ cannot write; "
        r"take 1\.1 or newer: pip install -U soundfile$",
    ):
        check_report(Path("a.html"), 10.0)


def test_scores_that_do_not_fit(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scores have shape \(600, 5\); needed: \(frames, 4 classes\)$"):
        write_report(tmp_path / "a.html", recording, make_scores(), CLASSES[:4], GRID.hop_s)
    with pytest.raises(ConfigError, match=r"^threshold=1\.0 is not allowed"):
        write_report(tmp_path / "a.html", recording, make_scores(), CLASSES, GRID.hop_s, 1.0)


def test_what_cannot_be_finished_leaves_what_was_there(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.html"
    output.write_text("before")
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, soundfile.read(recording)[0], 44_100)
    data = bytearray(cut.read_bytes())
    data[100_000:100_200] = bytes(byte ^ 0xFF for byte in data[100_000:100_200])
    cut.write_bytes(data)
    with pytest.raises(DataError, match=r"cut\.flac: damaged audio"):
        write_report(output, cut, make_scores(), CLASSES, GRID.hop_s)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("efficient_sed.files.atomic.os.fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_report(output, recording, make_scores(), CLASSES, GRID.hop_s)
    assert (output.read_text(), sorted(path.name for path in tmp_path.iterdir())) == ("before", ["a.html", "cut.flac"])
    with pytest.raises(
        DataError, match=r"a\.html/b\.html: cannot be written \(File exists\); give a writable file as output"
    ):
        write_report(output / "b.html", recording, make_scores(), CLASSES, GRID.hop_s)
