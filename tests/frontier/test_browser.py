"""The interactive page in a real browser: clicked, typed into and read.

Skipped where no Chromium is installed (`make browser` installs it).
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from result_files import make_result

from efficient_sed.frontier.front import pareto_front
from efficient_sed.frontier.html import page_data, write_page
from efficient_sed.frontier.points import Point

EVIL = "fmn10+<img src=x onerror=alert(1)></script>"


def results() -> list[tuple[Path, dict[str, Any]]]:
    """Three seeds of a transformer, a GRU with a bootstrap, a model on other data, and one with a malicious name."""

    def run(model: str, score: float, params: int, seed: int = 0, **changes: Any) -> dict[str, Any]:
        result = make_result(model, seed, score, **changes)
        result["signature"] = f"{model}{seed}"
        result["complexity"] |= {"params": params, "macs": 280 * params}
        return result

    gru = run("fmn10+gru-256", 0.38, 6_500_000)
    gru["metrics"]["psds1_macro_ci95"] = [0.33, 0.41]
    runs = [run("fmn10+tf-256", score, 5_000_000, seed) for seed, score in enumerate((0.40, 0.42, 0.44))]
    runs += [
        gru,
        run("fmn04", 0.30, 860_000),
        run(EVIL, 0.20, 900_000),
        run("fmn06", 0.5, 1_600_000, data={"name": "synthetic", "manifest_hash": "beef"}),
    ]
    return [(Path(f"runs/{index}"), result) for index, result in enumerate(runs)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(results(), tmp_path_factory.mktemp("page") / "frontier.html")


WIDE, NARROW = (1400, "light"), (360, "dark")
on_both = pytest.mark.parametrize("page", [WIDE, NARROW], ids=["wide", "narrow"], indirect=True)


@pytest.fixture
def page(
    open_page: Callable[..., AbstractContextManager[Any]], file: Path, request: pytest.FixtureRequest
) -> Iterator[Any]:
    with open_page(file, *getattr(request, "param", WIDE)) as page:
        yield page


def rows(page: Any) -> list[str]:
    found: list[str] = page.locator("#table tbody tr td:first-child").all_inner_texts()
    return found


def choose_published(page: Any) -> None:
    page.locator("#data-choice summary").click()
    for box in page.locator("#groups input:checked").all():
        box.uncheck()
    page.locator("#groups label", has_text="EfficientSED").locator("input").check()


@on_both
def test_first_sight(page: Any) -> None:
    assert page.locator(".point").count() == 4
    assert page.locator(".bar").count() == 2
    assert page.locator("polyline.front").count() == 1
    assert page.locator("polygon.area").count() == 1
    assert "4 of 4 models drawn, 2 on the Pareto front" in page.inner_text("#summary")
    assert rows(page) == ["fmn10+tf-256", "fmn10+gru-256", "fmn04", EVIL]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img").count() == 0


def test_axes_and_logarithms(page: Any) -> None:
    before = page.locator("#chart").inner_html()
    page.select_option("#x", "params")
    assert "parameters (lower is better)" in page.locator("#chart").text_content()
    page.locator("#x-log").uncheck()
    assert "4 M" in page.locator("#chart").text_content()
    page.locator("#y-log").check()
    page.select_option("#y", "psds1")
    assert "PSDS1 with penalty for unequal classes" in page.locator("#chart").text_content()
    assert page.locator("#chart").inner_html() != before
    page.select_option("#x", "throughput_clips_s")
    assert "clips/s (higher is better)" in page.locator("#chart").text_content()
    for switch, drawn in (("front", "polyline.front"), ("area", "polygon.area"), ("bars", ".bar"), ("names", ".name")):
        assert page.locator(drawn).count() > 0
        page.locator(f"#{switch}").uncheck()
        assert page.locator(drawn).count() == 0


@on_both
def test_provenance_on_hover_click_and_keys(page: Any) -> None:
    details = page.locator("#details")
    page.select_option("#x", "params")
    page.locator(".point[data-record='0']").hover(force=True)
    for piece in (
        "fmn10+tf-256",
        "0.42",
        "± one standard deviation over 3 seeds",
        "5,000,000",
        "hash cafe",
        "abc",
        "torch 2.11.0",
        "seed 2",
        "runs/1",
        "train.epochs=5",
        "device",
    ):
        assert piece in details.inner_text()
    page.locator(".point[data-record='1']").click(force=True)
    assert "95 % of bootstrap samples" in details.inner_text()
    page.locator(".point[data-record='0']").hover(force=True)
    assert details.locator("h2").inner_text() == "fmn10+gru-256"  # kept
    assert page.locator("tr.chosen td").first.inner_text() == "fmn10+gru-256"
    page.locator("#chart").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert details.locator("h2").inner_text() == "fmn04"  # the fewest parameters
    page.keyboard.press("ArrowRight")
    assert details.locator("h2").inner_text() == EVIL


@on_both
def test_filters(page: Any) -> None:
    page.fill("#filter", "GRU cafe")
    assert rows(page) == ["fmn10+gru-256"]
    page.fill("#filter", "nothing like it")
    assert rows(page) == []
    assert "0 of 4 models drawn" in page.inner_text("#summary")
    page.fill("#filter", "")
    page.locator("#families button", has_text="tf").click()
    assert "fmn10+tf-256" not in rows(page)
    assert page.locator(".point").count() == 3


@on_both
def test_other_data_join_only_when_told_and_with_a_notice(page: Any) -> None:
    assert page.locator("#notice").is_hidden()
    assert "fmn06" not in rows(page)
    page.locator("#data-choice summary").click()
    page.locator("#groups label", has_text="manifest_hash beef").locator("input").check()
    assert "do not compare" in page.inner_text("#notice")
    assert "fmn06" in rows(page)
    assert page.locator("polyline.front").count() == 2


@on_both
def test_sorting_and_export(page: Any) -> None:
    page.locator("th[data-key='params'] button").click()
    assert rows(page) == ["fmn10+gru-256", "fmn10+tf-256", EVIL, "fmn04"]
    assert page.locator("th[data-key='params']").get_attribute("aria-sort") == "descending"
    page.locator("th[data-key='params'] button").click()
    assert rows(page) == ["fmn04", EVIL, "fmn10+tf-256", "fmn10+gru-256"]
    page.fill("#filter", "fmn10")
    with page.expect_download() as download:
        page.locator("#export").click()
    exported = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert [row["label"] for row in exported] == [EVIL, "fmn10+tf-256", "fmn10+gru-256"]
    tf, gru = exported[1:]
    assert [
        float(tf[key]) for key in ("psds1_macro", "psds1_macro_low", "psds1_macro_high", "params", "runs")
    ] == pytest.approx([0.42, 0.40, 0.44, 5e6, 3])
    assert [gru[key] for key in ("psds1_macro", "psds1_macro_low", "psds1_macro_high")] == ["0.38", "0.33", "0.41"]
    assert "hash cafe" in tf["provenance"]


def test_published_macs_point_to_ours(page: Any) -> None:
    choose_published(page)
    assert len(rows(page)) == page.locator(".point.published").count() == 47
    assert "47 of 47 models drawn, 20 on the Pareto front, 1 trained on more data, on none" in page.inner_text(
        "#summary"
    )
    assert page.locator(".arrow").count() >= 10
    page.fill("#filter", "fmn10+gru-1024")
    arrow = page.locator(".arrow")
    assert float(arrow.get_attribute("x2")) - float(arrow.get_attribute("x1")) > 100
    (record,) = [record for record in page_data([])["records"] if record["label"] == "fmn10+gru-1024"]
    page.locator("#table tbody button").click()
    for key in ("macs", "macs_published"):
        assert f"{record['costs'][key][0]:,.0f}" in page.inner_text("#details")
    page.locator("#arrows").uncheck()
    assert page.locator(".arrow").count() == 0


def test_every_score_against_every_cost_is_drawn(page: Any) -> None:
    seen = 0
    for y in page.locator("#y option").evaluate_all("options => options.map((option) => option.value)"):
        page.select_option("#y", y)
        for x in page.locator("#x option").evaluate_all("options => options.map((option) => option.value)"):
            page.select_option("#x", x)
            values = page.locator("#chart [cx], #chart [points]").evaluate_all(
                "marks => marks.map((mark) => mark.outerHTML)"
            )
            assert not any("NaN" in value or "Infinity" in value for value in values)
            seen += page.locator(".point").count() > 0
    assert seen > 15


def test_front_is_that_of_the_package(page: Any) -> None:
    numbers = random.Random(0)
    for x, is_higher in (("params", False), ("throughput_clips_s", True)):
        for _ in range(20):
            pairs = [(numbers.randint(1, 6), numbers.randint(1, 6) / 10) for _ in range(numbers.randint(0, 15))]
            points = [Point("", "", "", score, {x: cost}, "", "") for cost, score in pairs]
            front = page.evaluate(
                "([points, isHigher]) => paretoFront(points, isHigher, true)",
                [[{"x": cost, "y": score} for cost, score in pairs], is_higher],
            )
            assert sorted((point["x"], point["y"]) for point in front) == sorted(
                (point.complexity[x], point.score) for point in pareto_front(points, x)
            )
            falling = page.evaluate(
                "([points, isHigher]) => paretoFront(points, isHigher, false)",
                [[{"x": cost, "y": -score} for cost, score in pairs], is_higher],
            )
            assert sorted((point["x"], -point["y"]) for point in falling) == sorted(
                (point["x"], point["y"]) for point in front
            )
