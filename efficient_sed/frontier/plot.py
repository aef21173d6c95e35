"""Draws the frontier between score and complexity."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.frontier.axes import AXIS_SECONDS, COMPLEXITY_METRICS, PANELS, score_axes
from efficient_sed.frontier.figure import (
    COLOURS,
    DPI,
    INK,
    OTHER_COLOUR,
    coordinates,
    draw_staircase,
    pad_scores,
    save_figure,
    scale_cost,
)
from efficient_sed.frontier.front import check_comparable, comparable_sets, find_mismatch
from efficient_sed.frontier.label_places import place_labels, warn_left_out
from efficient_sed.frontier.points import PUBLISHED_DATA, PUBLISHED_SPEED, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS, GREY = "os^DvPX*<>", "#9A9A9A"
TITLES = {
    "params": "Parameters", "macs": "Multiply-accumulates", "throughput_clips_s": "Throughput",
    "energy_j_per_clip": "Energy", "training_kwh": "Energy of training",
}  # fmt: skip


def draw_frontier(
    points: Sequence[Point],
    published: Sequence[Point],
    output: Path,
    *,
    allow_mixed: bool = False,
    costs: Sequence[str] = PANELS,
    data: str | None = None,
) -> list[Path]:
    """Write the frontier as PNG and SVG, one panel per cost, error bars where seeds were repeated.

    Published points of another data set than ours have a score axis of their own, on the right.

    Args:
        points: Our runs, of one score.
        published: Models of papers.
        output: File, with or without ending, or an existing folder.
        allow_mixed: Draw runs on different data or metric variants together, and say so below.
        costs: Keys of `COMPLEXITY_METRICS`, one for each panel.
        data: What our runs were scored on, in words; default None: the names of the data sets.

    Returns:
        The files written.

    Raises:
        DataError: If there is no point, runs do not compare, or a file cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    if not points and not published:
        raise DataError("the plot has no points; train a model with: make sweep")
    if not allow_mixed:
        check_comparable(points)
    note = find_mismatch(points) or ""
    return save_figure(
        lambda figure, renderer: _draw(figure, renderer, points, published, note, costs, data), (17, 7.8), DPI, output
    )


def _draw(
    figure: Figure,
    renderer: Any,
    ours: Sequence[Point],
    published: Sequence[Point],
    note: str,
    costs: Sequence[str],
    data: str | None,
) -> None:
    names = sorted({point.conditions["data"] for point in ours}) or [PUBLISHED_DATA]
    is_shared = names == [PUBLISHED_DATA] or not published
    colours = {family: COLOURS.get(family, OTHER_COLOUR) for family in sorted({point.family for point in ours})}
    markers = dict(zip(sorted({point.backbone for point in ours}), cycle(MARKERS), strict=False))
    has_front, left_out = False, []
    margins = {"left": 0.05, "right": 0.95, "top": 0.88, "bottom": 0.19, "wspace": 0.06}
    panels = figure.subplots(1, len(costs), sharey=True, gridspec_kw=margins, squeeze=False)[0]
    for ax, x in zip(panels, costs, strict=True):
        own, other = ([point for point in group if x in point.complexity] for group in (ours, published))
        behind = ax if is_shared else ax.twinx()
        ax.set_zorder(2 if is_shared else behind.get_zorder() + 1)
        ax.patch.set_visible(False)
        ax.grid(color="#EAEAEA", linewidth=0.6)
        ax.set_axisbelow(True)
        scale_cost(ax, x, own + other)
        scored = [*ours, *published] if is_shared else ours
        ax.set_ylim(*pad_scores([score for point in scored for score in (point.score, *(point.interval or ()))]))
        if not is_shared:
            behind.set_ylim(*pad_scores([point.score for point in published]))
            behind.tick_params(colors=GREY, right=ax is panels[-1], labelright=ax is panels[-1])
            behind.spines["right"].set(visible=True, color="#D0D0D0")
        grey, coloured = coordinates(other, x), coordinates(own, x)
        behind.plot(*grey.T, "o", color="#CDCDCD", markersize=4, zorder=1)
        draw_staircase(behind, other, x, "#B4B4B4", 0.8)
        machines = sorted({point.measured_by(x) for point in own if x in point.complexity})
        steps = np.concatenate(
            [np.empty((0, 2)), *(draw_staircase(ax, comparable, x, INK, 1.2) for comparable in comparable_sets(own, x))]
        )
        for point, position in zip(own, coloured, strict=True):
            if point.interval:
                ax.plot([position[0]] * 2, point.interval, color=colours[point.family], linewidth=1, zorder=3)
            ax.plot(
                *position,
                markers[point.backbone],
                color=colours[point.family],
                markersize=7.5,
                markeredgecolor="white",
                markeredgewidth=0.7,
                zorder=4,
            )
        has_front |= len(steps) > 0
        soft = np.concatenate([steps, behind.transData.transform(grey)])
        left_out += place_labels(ax, own, coloured, colours, soft, renderer)
        _title(ax, x, own, bool(other), machines)
    warn_left_out(left_out)
    if published and not is_shared:
        behind.set_ylabel("published: PSDS1 on AudioSet Strong (grey)", color="#707070")
    key = ours[0].metric if ours else "psds1_macro"
    axis = score_axes().get(key)
    shown = data or ", ".join("AudioSet Strong" if name == PUBLISHED_DATA else name for name in names)
    better = " (lower is better)" if axis and not axis.is_higher_better else ""
    panels[0].set_ylabel(f"{axis.label if axis else key}{better} — {shown}")
    _legend(figure, panels[0], colours, markers, has_front, bool(published))
    _footnotes(figure, published, any(point.interval for point in ours), note)


def _title(ax: Axes, x: str, own: Sequence[Point], has_published: bool, machines: Sequence[str]) -> None:
    metric = COMPLEXITY_METRICS[x]
    lines = ["classifier included; published: 447 classes"] if x == "params" and has_published else []
    if metric.measured_by:
        several = f"{len(machines)} different devices or precisions, each with a front of its own"
        lines = [f"ours: {machines[0] if len(machines) == 1 else several}"] if machines else []
        lines += [f"published: {PUBLISHED_SPEED}"] * (has_published and x == "throughput_clips_s")
    elif x == "macs" and has_published:
        lines = ["published MACs counted anew: the paper has BiGRU as zero and TCN twice"]
    if metric.power and (others := sorted({point.clip_seconds for point in own} - {AXIS_SECONDS})):
        lengths = " and ".join(f"{seconds:g}" for seconds in others)
        lines.append(f"clips of {lengths} s: as many as {AXIS_SECONDS:g} s of sound take")
    ax.set_xlabel(f"{metric.label} ({'lower' if metric.is_lower_better else 'higher'} is better)")
    ax.set_title(TITLES.get(x, metric.label), loc="left", fontsize=12, fontweight="bold", pad=42)
    text = "\n".join(part for line in lines for part in textwrap.wrap(line, 74))
    ax.annotate(
        text,
        (0, 1),
        (0, 38),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color="#606060",
        va="top",
    )


def _legend(
    figure: Figure, ax: Axes, colours: dict[str, str], markers: dict[str, str], has_front: bool, has_published: bool
) -> None:
    bar: dict[str, Any] = {
        "linewidth": 7,
        "solid_capstyle": "butt",
    }  # a colour has no shape: markers are the backbones'
    heads = [
        ax.plot([], [], color=colour, label=f"head {family}" if family != "none" else "no head", **bar)[0]
        for family, colour in colours.items()
    ]
    shapes = [
        ax.plot([], [], marker, color="#707070", label=f"backbone {backbone}")[0]
        for backbone, marker in markers.items()
    ]
    shapes += ax.plot([], [], color=INK, linewidth=1.2, label="our Pareto front") if has_front else []
    shapes += (
        ax.plot([], [], "o-", color="#BEBEBE", markersize=4, linewidth=0.8, label="published, with its front")
        if has_published
        else []
    )
    for height, handles in ((0.113, heads), (0.085, shapes)):
        figure.legend(
            handles=handles,
            loc="center",
            bbox_to_anchor=(0.5, height),
            ncols=max(len(handles), 1),
            frameon=False,
            fontsize=8.5,
        )


def _footnotes(figure: Figure, published: Sequence[Point], has_bars: bool, note: str) -> None:
    figured = sum(point.origin == "figure" for point in published)
    apart = sum(point.has_extra_training_data for point in published)
    read_off = f"{figured} of {len(published)} scores read off a figure"
    notes = [f"Published: EfficientSED on AudioSet Strong, clips of 10 s; {read_off}."] if published else []
    notes += [f"On no front: {apart} published, trained on more data."] if apart else []
    notes += ["Bars: one standard deviation over seeds, or of one run the bootstrap's 95 %."] if has_bars else []
    notes += [f"Mixed: {note}."] if note else []
    figure.text(
        0.5,
        0.008,
        "\n".join(line for text in notes for line in textwrap.wrap(text, 230)),
        ha="center",
        va="bottom",
        fontsize=8,
        color="#606060",
    )
