"""The exported page in a real browser: it finds the events that Python finds, and sends nothing anywhere.

Skipped without Chromium or a copy of onnxruntime-web (`make browser` installs both).
"""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import efficient_sed as es
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.audio.io import read_audio
from efficient_sed.audio.resample import resample
from efficient_sed.data.annotations.contract import format_events
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.data.windows import cut_windows, fade_scores
from efficient_sed.export import web_page as web
from efficient_sed.export.write import export_model
from efficient_sed.inference.detect import detect
from efficient_sed.inference.self_test import create_sound
from efficient_sed.inference.stream import Stream
from efficient_sed.postprocessing.change_points import ChangePoints
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.hysteresis import Hysteresis
from efficient_sed.postprocessing.median import Median
from efficient_sed.postprocessing.stream import smooth_stream

RATE = 16_000
RUNTIME = Path(__file__).parents[2] / ".npm" / "node_modules" / "onnxruntime-web"
NAME = "fmn04+tf-128_synthetic"
GRID = FrameGrid()
CLOSE = 1.5e-4  # of a score that a table rounds to four digits
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


@pytest.fixture(scope="module")
def runtime() -> Path:
    if not RUNTIME.is_dir():
        pytest.skip(f"no onnxruntime-web {web.RUNTIME_VERSION} in {RUNTIME}; install it with: make browser")
    return RUNTIME


@pytest.fixture(scope="module")
def folder(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the model that ships, with its run time."""
    path = tmp_path_factory.mktemp("web") / "page"
    export_model(es.load_model(NAME), path, NAME, target="web", runtime=runtime)
    return path


@pytest.fixture(scope="module")
def sound(tiny_config: SyntheticConfig, tiny_data: Splits) -> NDArray[np.float32]:
    """Scenes one after another, three windows long."""
    assert tiny_data.train  # they are made
    scenes = [read_audio(path) for path in sorted(Path(tiny_config.root).rglob("*.flac"))]
    return np.concatenate(scenes)[: round(21.3 * RATE)]


class Quiet(http.server.SimpleHTTPRequestHandler):
    headers_to_send: ClassVar[dict[str, str]] = {}

    def end_headers(self) -> None:
        for name, value in self.headers_to_send.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path, headers: dict[str, str]) -> Iterator[str]:
    handler = type("Handler", (Quiet,), {"headers_to_send": headers})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def opened(
    browser: Any, folder: Path, *, headers: dict[str, str] | None = None, before: str = "", width: int = 1280
) -> Iterator[Any]:
    """The page from a server of its own; it must neither complain nor ask another one for anything."""
    complaints: list[str] = []
    with served(folder, headers or {}) as address:
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        context.on(
            "request",
            lambda request: (
                complaints.append(request.url) if not request.url.startswith((address, "blob:", "data:")) else None
            ),
        )
        if before:
            page.add_init_script(before)
        page.goto(address)
        yield page
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def page(browser: Any, folder: Path) -> Iterator[Any]:
    with opened(browser, folder) as page:
        yield page


def wait_until(page: Any, condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it never came true; {page.inner_text('#status')} {page.inner_text('#notice')}")


def events_of(page: Any, path: Path) -> list[es.Event]:
    page.set_input_files("#file", str(path))
    wait_until(page, lambda: page.inner_text("#name") == path.name and page.locator("#progress").is_hidden())
    return shown_events(page)


def shown_events(page: Any) -> list[es.Event]:
    return [es.Event(*row) for row in page.evaluate("events.map((e) => [e.onset, e.offset, e.label, e.score])")]


def assert_same(found: list[es.Event], expected: list[es.Event]) -> None:
    assert [event[:3] for event in found] == [event[:3] for event in expected]
    assert np.allclose([event.score for event in found], [event.score for event in expected], rtol=0, atol=CLOSE)


@pytest.mark.slow
def test_the_events_of_detect(page: Any, folder: Path, sound: NDArray[np.float32], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", sound, RATE)
    two = sound[: 11 * RATE], sound[-11 * RATE :]
    stereo = np.stack([resample(channel, RATE, 44_100) for channel in two], axis=1)
    soundfile.write(tmp_path / "b.wav", stereo, 44_100, "PCM_24")
    soundfile.write(tmp_path / "c.ogg", resample(sound[: 6 * RATE], RATE, 22_050), 22_050)
    soundfile.write(tmp_path / "short ä.wav", sound[: RATE // 3], RATE)
    for path in sorted(tmp_path.iterdir()):
        expected = detect(path, folder / "model.onnx")
        assert_same(events_of(page, path), expected)
        for button, kind in (("#save", "tsv"), ("#save-labels", "audacity")):
            with page.expect_download() as download:
                page.locator(button).click()
            text = Path(download.value.path()).read_bytes().decode()
            if kind == "audacity":  # scores differ by their rounding
                assert text == format_events({path.name: expected}, kind)
            assert len(text.splitlines()) == len(format_events({path.name: expected}, kind).splitlines())
        assert page.locator("#note").is_hidden()
        assert "real time; WebAssembly, one thread" in page.inner_text("#status")
    page.set_input_files("#file", str(tmp_path / "a.flac"))
    wait_until(page, lambda: page.inner_text("#name") == "a.flac" and page.locator("#progress").is_hidden())
    assert len(shown_events(page)) > 2
    for threshold in ("0.5", "1.7"):  # times the tuned ones
        page.fill("#threshold-number", threshold)
        scaled = {
            label: min(0.99, max(page.evaluate("DATA.lowest"), own * float(threshold)))
            for label, own in zip(*page.evaluate("[DATA.labels, DATA.thresholds]"), strict=True)
        }
        assert_same(shown_events(page), detect(tmp_path / "a.flac", folder / "model.onnx", scaled))
    page.fill("#threshold-number", "1")
    page.evaluate("seek(5)")
    assert page.evaluate("at('sound').currentTime") == 5


@pytest.mark.slow
def test_threads_give_the_same_events(browser: Any, folder: Path, sound: NDArray[np.float32], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", sound[: 8 * RATE], RATE)
    with opened(browser, folder, headers=ISOLATED) as page:
        assert_same(events_of(page, tmp_path / "a.flac"), detect(tmp_path / "a.flac", folder / "model.onnx"))
        if page.evaluate("navigator.hardwareConcurrency") > 1:
            assert page.inner_text("#status").endswith(" threads")


@pytest.mark.slow
def test_the_microphone(folder: Path, launch: Callable[..., Any], sound: NDArray[np.float32], tmp_path: Path) -> None:
    """Its sound is saved; a `Stream` over that finds the same events."""
    file = tmp_path / "sound.wav"
    soundfile.write(file, resample(sound, RATE, 48_000), 48_000)
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with opened(launch(*fake, f"--use-file-for-fake-audio-capture={file}"), folder, width=400) as page:
        page.click("#microphone")
        wait_until(page, lambda: page.evaluate("state.duration > 3 && events.length > 0"))
        assert page.locator("#roll .event").count() > 0
        assert page.locator("#sound").is_hidden()
        page.get_by_role("button", name="Stop").click()
        page.locator("#save-sound").wait_for()
        with page.expect_download() as download:
            page.click("#save-sound")
        samples, rate = soundfile.read(download.value.path(), dtype="float32")
        found = shown_events(page)
        assert page.locator("#sound").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expected = sorted(Stream(folder / "model.onnx", sample_rate=rate).events([samples]))
    assert len(expected) > 0
    assert np.abs(samples).max() > 0.05
    assert_same(found, expected)


def run(page: Any, module: str, code: str, *values: Any) -> Any:
    """Call JavaScript of one of the page's modules, `m` in the code."""
    source = f"async ([address, values]) => {{ const m = await import(address); return ({code})(...values); }}"
    return page.evaluate(source, [page.url + module, values])


def test_the_self_test_is_pythons(page: Any) -> None:
    """The page has run it with the model; here what it is made of."""
    found = run(page, "self_test.js", "(length) => Array.from(m.createSound(length))", 3000)
    np.testing.assert_array_equal(np.array(found, np.float32), create_sound(3000)[0])
    test = {"classes": [0], "frames": [0, 1], "scores": [[0.5, 0.8]], "tolerance": 0.001}
    check = "(scores, test) => { try { m.checkScores(scores, test); return ''; } catch (e) { return e.message; } }"
    assert run(page, "self_test.js", check, [[0.5, 0.8005]], test) == ""
    for score, words in ((0.808, "they differ by 1.0e-2 of the highest one"), (np.nan, "This browser computes wrong")):
        assert words in run(page, "self_test.js", check, [[0.5, score]], test)


def test_windows_and_samples_are_pythons(page: Any) -> None:
    grid = page.evaluate("DATA.settings.grid")
    for seconds in (0.001, 3.0, 10.0, 10.0004, 10.02, 11.7, 18.0, 21.3, 34.56, 3601.23):
        found = run(page, "windows.js", "(s, g) => m.cutWindows(s, g)", seconds, grid)
        assert [tuple(each.values()) for each in found] == [tuple(each) for each in cut_windows(seconds, 10.0, GRID)]
    samples = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    for rate in (8000, 11_025, 22_050, 44_100, 48_000, 96_000, 12_345):
        found = run(
            page,
            "samples.js",
            "(x, r) => Array.from(m.resample(Float32Array.from(x), r, 16000))",
            samples.tolist(),
            rate,
        )
        np.testing.assert_allclose(found, resample(samples, rate, RATE), rtol=0, atol=2e-6)
    before, after, share = np.random.default_rng(1).random((3, 50)).astype(np.float32)
    before[:2] = 0, 1
    found = run(
        page,
        "windows.js",
        "(...x) => x[0].map((_, k) => m.fade(x[0][k], x[1][k], x[2][k]))",
        *(x.tolist() for x in (before, after, share)),
    )
    np.testing.assert_allclose(found, fade_scores(before, after, share), rtol=1e-6)


CHAINS = {
    "median": Chain((Median((1, 7, 25, 51)),)),
    "hysteresis": Chain((Hysteresis((0.5, 1.0, 0.3, 0.7), (0.0, 0.4, 0.2, 1.0), (0.2, 0.0, 0.4, 0.12)),)),
    "change_points": Chain(
        (ChangePoints((0.48, 0.5, 0.32, 0.64), (float("inf"), 0.15, 0.3, 0.2), (2.0, float("inf"), 3.0, 1.5)),)
    ),
    "all": Chain((Median(5), Hysteresis(0.6, 0.12, 0.2), ChangePoints())),
}


@pytest.mark.parametrize("name", CHAINS)
def test_postprocessing_is_pythons(page: Any, name: str) -> None:
    """In pieces; levels, ties and borders of frames decide, so nothing may be rounded otherwise."""
    chain, rng = CHAINS[name], np.random.default_rng(2)
    walks = np.abs(np.cumsum(rng.normal(size=(400, 4)) * 0.08, axis=0)) % 2
    scores = np.minimum(walks, 2 - walks).astype(np.float32)
    scores[::3] = np.round(scores[::3], 1)
    pieces = np.split(scores, [1, 90, 200, 330])
    extent_s = chain.look_ahead_s(GRID.hop_s)
    expected = list(smooth_stream(pieces, chain, GRID.hop_s))
    found = run(
        page,
        "smooth.js",
        """async (pieces, steps, hop, extent) => {
            const apply = await m.loadChain(steps, hop);
            const columns = pieces.map((piece) => piece.map((column) => Float32Array.from(column)));
            const found = [];
            for await (const piece of m.smooth(columns, apply, extent)) {
                found.push(piece.columns.map((column) => Array.from(column)));
            }
            return found.filter(([column]) => column.length);
        }""",
        [piece.T.tolist() for piece in pieces],
        chain.to_list(),
        GRID.hop_s,
        web._frames(extent_s, GRID.hop_s),
    )
    assert [len(piece[0]) for piece in found] == [len(piece) for piece in expected]
    np.testing.assert_array_equal(
        np.concatenate([np.array(piece, np.float32).T for piece in found]), np.concatenate(expected)
    )


@pytest.mark.parametrize(
    ("name", "rate"), [("a.wav", 12_345), ("a.flac", 96_000), ("a.ogg", 22_050), ("a.mp3", 44_100), ("b.mp3", 16_000)]
)
def test_the_rate_in_a_header(page: Any, tmp_path: Path, name: str, rate: int) -> None:
    soundfile.write(tmp_path / name, np.zeros(rate), rate)
    content = list((tmp_path / name).read_bytes()[:5000])
    assert run(page, "headers.js", "(x) => m.readRate(Uint8Array.from(x).buffer)", content) == rate
    for length in (0, 3, 20):
        run(page, "headers.js", "(x) => m.readRate(Uint8Array.from(x).buffer)", content[:length])


NO_SIMD = """const make = Blob;  // of which the worker's script is made
Blob = class extends make { constructor(parts, o) { super(["WebAssembly.validate = () => false;", ...parts], o); } };"""
DENIED = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"


def test_what_a_browser_lacks(browser: Any, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "page")
    (tmp_path / "page" / "runtime" / web.RUNTIME["wasm"]["name"]).write_bytes(b"another")
    with opened(browser, folder, before=NO_SIMD) as page:
        page.get_by_text("This browser has no WebAssembly with SIMD").wait_for()
    with opened(browser, folder, before=DENIED) as page:
        page.click("#microphone")
        page.get_by_text("The microphone was denied; allow it for this page beside the address.").wait_for()
        (tmp_path / "notes.txt").write_text("no sound")
        page.set_input_files("#file", str(tmp_path / "notes.txt"))
        page.get_by_text("notes.txt: this browser cannot decode it").wait_for()
        assert page.inner_text("#status") == ""
    context = browser.new_context()
    page = context.new_page()
    with served(tmp_path / "page", {}) as address:
        page.goto(address)
        page.get_by_text(f"The run time cannot be loaded from {address}runtime/").wait_for()
    page.goto((folder / "index.html").as_uri())
    page.get_by_text("Browsers run this page only from a server.").wait_for()
    context.close()


def test_the_public_run_time(browser: Any, runtime: Path, folder: Path, tmp_path: Path) -> None:
    """What the address has is checked: its true files do, others do not."""
    shutil.copytree(folder, tmp_path / "page", ignore=shutil.ignore_patterns("runtime"))
    index = tmp_path / "page" / "index.html"
    text = index.read_text(encoding="utf-8").replace("connect-src 'self';", f"connect-src 'self' {web.PUBLIC_ADDRESS};")
    index.write_text(text.replace('"base":"runtime/"', f'"base":"{web.PUBLIC_ADDRESS}"'), encoding="utf-8")
    for is_true, shown in ((True, "Ready."), (False, f"The run time cannot be loaded from {web.PUBLIC_ADDRESS}")):
        context = browser.new_context()
        context.route(f"{web.PUBLIC_ADDRESS}**", functools.partial(answer, runtime if is_true else None))
        page = context.new_page()
        with served(tmp_path / "page", {}) as address:
            page.goto(address)
            page.get_by_text(shown).wait_for()
        context.close()


def answer(runtime: Path | None, route: Any) -> None:
    """With a file of the package, or another one."""
    headers = {"Access-Control-Allow-Origin": "*"}
    if runtime is None:
        route.fulfill(body="another", headers=headers)
    else:
        route.fulfill(path=runtime / "dist" / route.request.url.rsplit("/", 1)[1], headers=headers)
