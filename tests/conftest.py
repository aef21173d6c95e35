"""What several test files share."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from efficient_sed.benchmark.energy import rapl
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.models.weights import cards

# Speed is measured in benchmarks/, never asserted here.
settings.register_profile("suite", deadline=None, max_examples=40)
settings.load_profile("suite")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a hundred commands that tests start would compile all of it again
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that have slow tests: one that comes last is waited for by a process that has no other."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of every later search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _heeds_signals() -> None:
    """Restore what background jobs of a shell ignore and earlier tests handle: a process that a test forks must end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def _keeps_nothing() -> Iterator[None]:
    """Collect modules and trainers, which refer to each other, and return their memory, which glibc would keep."""
    yield
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session", autouse=True)
def _empty_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the weights of whoever runs it, or fetches any."""

    def refuse(url: str, path: Path, _: str | None) -> NoReturn:
        raise AssertionError(f"a test would download {url} to {path}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFICIENT_SED_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(cards, "download", refuse)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_counters() -> Iterator[None]:
    """No test measures the energy of the machine that runs it: it takes seconds, and differs from run to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rapl, "POWERCAP", Path("/nowhere"))
        yield


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> SyntheticConfig:
    """Settings of a generated data set of 16 scenes of 3 s."""
    return SyntheticConfig(
        root=str(tmp_path_factory.mktemp("datasets")),
        num_train=8,
        num_validation=4,
        num_test=4,
        scene_seconds=3.0,
        clip_seconds=3,
        num_workers=0,
    )


@pytest.fixture(scope="session")
def tiny_data(tiny_config: SyntheticConfig) -> Splits:
    """The data set itself."""
    return tiny_config.load()


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Starts a real browser with further flags; tests that need one are skipped where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed; pip install 'efficient-sed[dev]'"
    )
    path = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if path is None:
        pytest.skip("no Chromium here; install it with: make browser")
    with sync_api.sync_playwright() as playwright, contextlib.ExitStack() as opened:

        def start(*flags: str) -> Any:
            browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_FLAGS, *flags])
            opened.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any]) -> Any:
    """A real browser."""
    return launch()


@pytest.fixture
def open_page(browser: Any) -> Callable[..., AbstractContextManager[Any]]:
    """Opens a page of ours, which must neither complain nor ask anyone for anything while a test uses it."""

    @contextmanager
    def opened(file: Path, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: complaints.append(request.url) if request.url.startswith(("http", "ws")) else None,
        )
        page.goto(file.as_uri())
        yield page
        context.close()
        assert complaints == []

    return opened
