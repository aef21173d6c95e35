"""Draws what becomes of EfficientSED's "best by MACs" once all multiply-accumulates are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from efficient_sed.frontier.axes import COMPLEXITY_METRICS
from efficient_sed.frontier.figure import COLOURS, DPI, INK, draw_staircase, pad_scores, save_figure, scale_cost
from efficient_sed.frontier.front import pareto_front
from efficient_sed.frontier.label_places import place_labels, warn_left_out
from efficient_sed.frontier.points import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    "none": "no head",
    "tf": "transformer",
    "hybrid": "hybrid",
    "gru": "BiGRU",
    "attn": "attention",
    "tcn": "TCN",
    "mamba": "Mamba",
}
TITLES = {"macs_published": "As published", "macs": "All MACs counted"}
NOTICEABLE = 1.05  # a shorter arrow is not seen


def draw_corrected(points: Sequence[Point], output: Path) -> list[Path]:
    """Write published models as PNG and SVG.

    On the left by MACs as published, on the right as we count them, with arrows from there to here.

    Args:
        points: Of `read_published`; those without both counts are left out, and those with extra training data, which
            are counted below.
        output: File, with or without ending, or an existing folder.

    Raises:
        DataError: If a file cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    both = [replace(point, label=point.model) for point in points if TITLES.keys() <= point.complexity.keys()]
    shown = [point for point in both if not point.has_extra_training_data]
    return save_figure(partial(_draw, points=shown, num_apart=len(both) - len(shown)), (10.6, 5.2), DPI, output)


def _draw(figure: Figure, renderer: Any, points: Sequence[Point], num_apart: int) -> None:
    left, right = figure.subplots(
        1, 2, sharey=True, gridspec_kw={"left": 0.07, "right": 0.985, "top": 0.94, "bottom": 0.18, "wspace": 0.04}
    )
    left_out = []
    for ax, x in ((left, "macs_published"), (right, "macs")):
        ax.grid(color="#EAEAEA", linewidth=0.6)
        ax.set_axisbelow(True)
        both = [replace(point, complexity={x: point.complexity[key]}) for point in points for key in TITLES]
        scale_cost(ax, x, both)
        ax.set_ylim(*pad_scores([point.score for point in points]))
        front = pareto_front(points, x)
        steps = draw_staircase(ax, points, x, INK, 1.1)
        arrows = _draw_points(ax, points, x)
        named = [point for point in points if point in front or point.family == "gru"]
        positions = np.array([(point.complexity[x], point.score) for point in named])
        others = ax.transData.transform(
            [(point.complexity[x], point.score) for point in points if point not in named]
        ).repeat(4, axis=0)  # worse to cover than lines
        soft = np.concatenate([steps, others, arrows])
        left_out += place_labels(ax, named, positions, COLOURS, soft, renderer)
        recurrent = sum(point.family == "gru" for point in front)
        ax.set_title(
            f"{TITLES[x]}: {recurrent} of {len(front)} on the front are BiGRUs",
            loc="left",
            fontsize=11,
            fontweight="bold",
        )
        ax.set_xlabel(f"{COMPLEXITY_METRICS['macs'].label} (lower is better)")
    warn_left_out(left_out)
    if num_apart:
        figure.text(
            0.985,
            0.075,
            f"left off: {num_apart} trained on more data",
            ha="right",
            fontsize=8,
            color="#606060",
        )
    left.set_ylabel("PSDS1 on AudioSet Strong, as published")
    families = [family for family in NAMES if any(point.family == family for point in points)]
    handles = [left.plot([], [], "o", color=COLOURS[family], label=NAMES[family])[0] for family in families]
    handles += left.plot([], [], color=INK, linewidth=1.1, label="Pareto front")
    handles += left.plot([], [], "o", color="#808080", markerfacecolor="white", markersize=4, label="as published")
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8.5, columnspacing=1.2
    )


def _draw_points(ax: Axes, points: Sequence[Point], x: str) -> np.ndarray:
    """Models, sizes of one head on one backbone joined by a thin line, and arrows from where they were published.

    Returns pixels along these, (dots, 2).
    """
    dots = [np.empty((0, 2))]
    for (_, family), group in groupby(points, key=lambda point: (point.backbone, point.family)):
        line = np.array([(point.complexity[x], point.score) for point in group])
        ax.plot(*line.T, "-", color=COLOURS[family], linewidth=0.8, alpha=0.35, zorder=2)
        ax.plot(
            *line.T, "o", color=COLOURS[family], markersize=6, markeredgecolor="white", markeredgewidth=0.6, zorder=4
        )
    for point in points:
        start, end = point.complexity["macs_published"], point.complexity["macs"]
        if x == "macs" and max(start / end, end / start) > NOTICEABLE:
            arrow = {
                "arrowstyle": "-|>",
                "color": COLOURS[point.family],
                "linewidth": 0.9,
                "shrinkA": 2.5,
                "shrinkB": 3.5,
                "mutation_scale": 8,
            }
            ax.annotate("", (end, point.score), (start, point.score), arrowprops=arrow, zorder=3)
            ax.plot(
                start, point.score, "o", color=COLOURS[point.family], markerfacecolor="white", markersize=4, zorder=3
            )
            dots.append(ax.transData.transform([(macs, point.score) for macs in np.geomspace(start, end, 30)]))
    return np.concatenate(dots)
