"""Draws the frontier between score and complexity."""

from __future__ import annotations

import io
import logging
import textwrap
from collections.abc import Callable, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from efficient_sed.errors import DataError, MissingDependencyError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.frontier.points import (
    AXIS_SECONDS,
    COMPLEXITY_METRICS,
    PANELS,
    PUBLISHED_DATA,
    PUBLISHED_SPEED,
    SCORES,
    Point,
    check_comparable,
    comparable_sets,
    find_mismatch,
    output_base,
    pareto_front,
    with_ending,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)
COLOURS = {
    "none": "#000000",
    "tf": "#0072B2",
    "hybrid": "#D55E00",
    "gru": "#009E73",
    "attn": "#E69F00",
    "tcn": "#CC79A7",
    "mamba": "#56B4E9",
    "dilated": "#7F3C8D",
    "bitcn": "#8E3B6B",
    "bimamba": "#1F5F86",
    "causalgru": "#7FCFB4",
    "mingru": "#F2A683",  # darker or lighter than their kin
}
OTHER_COLOUR = "#8C6D31"
MARKERS = "os^DvPX*<>"
GREY, INK, LABEL_SIZE, LEADER_FROM, DPI = "#9A9A9A", "#333333", 7.5, 13, 150
PIXEL = DPI / 72  # pixels per point
RADII = (8, 11, 15, 20, 27, 35, 45, 57, 70, 85, 100, 120, 145, 175, 210)
TITLES = {"params": "Parameters", "macs": "Multiply-accumulates", "throughput_clips_s": "Throughput"}


def draw_frontier(
    points: Sequence[Point], published: Sequence[Point], output: Path, *, allow_mixed: bool = False
) -> list[Path]:
    """Write the frontier as PNG and SVG, one panel per complexity metric, error bars where seeds were repeated.

    Published points of another data set than ours have a score axis of their own, on the right.

    Args:
        output: File, with or without ending, or an existing folder.
        allow_mixed: Draw runs on different data or metric variants together, and say so below.

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
        lambda figure, renderer: _draw(figure, renderer, points, published, note), (17, 7.8), DPI, output
    )


def save_figure(draw: Callable[[Figure, Any], None], size: tuple[float, float], dpi: int, output: Path) -> list[Path]:
    """Write what `draw(figure, renderer)` draws as PNG and SVG.

    Args:
        size: Inches.
        output: File, with or without ending, or an existing folder.

    Raises:
        DataError: If a file cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependencyError("the plot", "matplotlib", "plot") from error
    base = output_base(output)
    written = []
    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.parse_math": False,
    }  # a $ in a name is no formula
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "efficient_sed", **style}):
        figure = Figure(figsize=size, dpi=dpi)
        canvas: Any = FigureCanvasAgg(figure)
        draw(figure, canvas.get_renderer())
        for kind in ("png", "svg"):
            data = io.BytesIO()
            options = (
                {"pil_kwargs": {"optimize": True}, "metadata": {"Software": "efficient_sed"}}
                if kind == "png"
                else {"metadata": {"Date": None, "Creator": "efficient_sed"}}
            )
            figure.savefig(data, format=kind, dpi="figure", **options)
            path = with_ending(base, kind)
            try:
                write_atomically(path, data.getvalue())
            except OSError as error:
                raise DataError(
                    f"{path}: cannot be written ({error.strerror}); give a writable file as output"
                ) from error
            written.append(path)
    return written


def _draw(figure: Figure, renderer: Any, ours: Sequence[Point], published: Sequence[Point], note: str) -> None:
    names = sorted({point.conditions["data"] for point in ours}) or [PUBLISHED_DATA]
    is_shared = names == [PUBLISHED_DATA] or not published
    colours = {family: COLOURS.get(family, OTHER_COLOUR) for family in sorted({point.family for point in ours})}
    markers = dict(zip(sorted({point.backbone for point in ours}), cycle(MARKERS), strict=False))
    has_front = False
    margins = {"left": 0.05, "right": 0.95, "top": 0.88, "bottom": 0.19, "wspace": 0.06}
    panels = figure.subplots(1, len(PANELS), sharey=True, gridspec_kw=margins)
    for ax, x in zip(panels, PANELS, strict=True):
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
        grey, coloured = _coordinates(other, x), _coordinates(own, x)
        behind.plot(*grey.T, "o", color="#CDCDCD", markersize=4, zorder=1)
        draw_staircase(behind, other, x, "#B4B4B4", 0.8)
        speeds = sorted({point.speed for point in own})
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
        place_labels(ax, own, coloured, colours, np.concatenate([steps, behind.transData.transform(grey)]), renderer)
        _title(ax, x, own, bool(other), speeds)
    if published and not is_shared:
        behind.set_ylabel("published: PSDS1 on AudioSet Strong (grey)", color="#707070")
    panels[0].set_ylabel(
        f"{SCORES[ours[0].metric if ours else 'psds1_macro'][0]} — {', '.join('AudioSet Strong' if name == PUBLISHED_DATA else name for name in names)}"
    )
    _legend(figure, panels[0], colours, markers, has_front, bool(published))
    _footnotes(figure, published, any(point.interval for point in ours), note)


def _coordinates(points: Sequence[Point], x: str) -> np.ndarray:
    return np.array([(point.complexity[x], point.score) for point in points]).reshape(-1, 2)


def pad_scores(scores: Sequence[float]) -> tuple[float, float]:
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    margin = max(0.1 * (high - low), 0.03 - (high - low) / 2)
    return max(low - margin, -0.01), high + margin  # no score is negative; a point at zero still shows whole


def scale_cost(ax: Axes, x: str, shown: Sequence[Point]) -> None:
    """Limits that leave room for labels, and ticks such as 0.1 G, 1 G."""
    ax.set_xscale("log")
    values = [point.complexity[x] for point in shown] or [1.0]
    margin = max(1.25, (max(values) / min(values)) ** 0.08, 2.5 if len(values) == 1 else 1)
    low, high = min(values) / margin, max(values) * margin
    decades = np.log10(high / low)
    unit, suffix = (1e9, " G") if x.startswith("macs") else (1e6, " M") if x == "params" else (1.0, "")
    steps = (1,) if decades > 4 else (1, 3) if decades > 2.2 else (1, 2, 5)
    ticks = [
        step * 10.0**power
        for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for step in steps
        if low <= step * 10.0**power <= high
    ]
    ax.set_xticks(ticks, [f"{tick / unit:g}{suffix}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(low, high)


def draw_staircase(ax: Axes, points: Sequence[Point], x: str, colour: str, width: float) -> np.ndarray:
    """Draw the front as steps; returns pixels along them, (dots, 2)."""
    line = _coordinates(pareto_front(points, x), x)
    if len(line) < 2:
        return np.empty((0, 2))
    is_rising = COMPLEXITY_METRICS[x].is_lower_better
    corners = np.stack([line[1:, 0], line[:-1, 1]] if is_rising else [line[:-1, 0], line[1:, 1]], axis=1)
    path = np.concatenate([np.stack([line[:-1], corners], axis=1).reshape(-1, 2), line[-1:]])
    ax.plot(*path.T, color=colour, linewidth=width, zorder=2)
    pixels = ax.transData.transform(path)
    return np.concatenate(
        [np.linspace(start, end, int(np.linalg.norm(end - start) / 6) + 2) for start, end in pairwise(pixels)]
    )


def place_labels(
    ax: Axes, points: Sequence[Point], positions: np.ndarray, colours: dict[str, str], soft: np.ndarray, renderer: Any
) -> None:
    """Names beside their points, covering no point, name or leader; those that find no room near get a leader line.

    Args:
        positions: Data coordinates (points, 2).
        soft: Pixels (dots, 2) that names rather do not cover.
    """
    centres = ax.transData.transform(positions)
    frame = np.array(ax.bbox.extents) + 4 * PIXEL * np.array([1, 1, -1, -1])
    halves = []
    for point in points:
        probe = ax.text(0, 0, point.label, fontsize=LABEL_SIZE)
        halves.append(np.array(probe.get_window_extent(renderer).size) / 2)
        probe.remove()
    crowding = (np.linalg.norm(centres[:, None] - centres, axis=-1) < 60 * PIXEL).sum(1)
    orders = (np.argsort(key, kind="stable") for key in (-crowding, crowding, *centres.T, *-centres.T))
    _, boxes = min(
        (_arrange(order, centres, halves, frame, soft) for order in orders), key=lambda arrangement: arrangement[0]
    )
    for index, point in enumerate(points):
        if index not in boxes:
            logger.warning("the plot has no room for the name %s", point.label)
            continue
        box, near = boxes[index], np.clip(centres[index], boxes[index][:2], boxes[index][2:])
        arrow = {
            "arrowstyle": "-",
            "color": colours[point.family],
            "linewidth": 0.6,
            "shrinkA": 0,
            "shrinkB": 3.5,
            "relpos": tuple((near - box[:2]) / (box[2:] - box[:2])),
        }
        is_far = np.linalg.norm(near - centres[index]) > LEADER_FROM * PIXEL
        offset = (box[:2] - centres[index]) / PIXEL
        ax.annotate(
            point.label,
            positions[index],
            offset,
            textcoords="offset points",
            fontsize=LABEL_SIZE,
            color=INK,
            zorder=5,
            arrowprops=arrow if is_far else None,
        )


def _arrange(
    order: np.ndarray, centres: np.ndarray, halves: Sequence[np.ndarray], frame: np.ndarray, soft: np.ndarray
) -> tuple[float, dict[int, np.ndarray]]:
    """Greedy places of names, in pixels: the total cost, and by point a box (left, bottom, right, top)."""
    markers = np.concatenate([centres - 4.5 * PIXEL, centres + 4.5 * PIXEL], axis=1)
    names = leaders = np.empty((0, 4))
    soft = np.tile(soft, (1, 2))
    radius, angle = (grid.ravel() for grid in np.meshgrid(RADII, np.radians(np.arange(0, 360, 12)), indexing="ij"))
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    total, places = 0.0, {}
    for index in order.tolist():
        middle = centres[index] + directions * (halves[index] + radius[:, None] * PIXEL)
        boxes = np.concatenate([middle - halves[index], middle + halves[index]], axis=1)
        is_free = (boxes[:, :2] >= frame[:2]).all(1) & (boxes[:, 2:] <= frame[2:]).all(1)
        is_free &= _count_hits(boxes, np.concatenate([markers, names, leaders]), 1.5 * PIXEL) == 0
        nearest = np.nonzero(is_free)[0][:80]
        boxes = boxes[nearest]
        ends = np.clip(centres[index], boxes[:, :2], boxes[:, 2:])
        dots = np.tile(
            np.linspace(centres[index], ends, 24, axis=1), (1, 1, 2)
        )  # (places, dots, 4): the leader as boxes without size
        is_far = np.linalg.norm(ends - centres[index], axis=1) > LEADER_FROM * PIXEL
        cost = radius[nearest] + 2.0 * _count_hits(boxes, soft, 2 * PIXEL)
        cost += is_far * 3.0 * _count_hits(dots, np.concatenate([np.delete(markers, index, axis=0), leaders]), 0).sum(1)
        cost[is_far & (_count_hits(dots, names, PIXEL).sum(1) > 0)] = np.inf
        if not np.isfinite(cost).any():
            total += 1e4
            continue
        best = int(np.argmin(cost))
        total += cost[best]
        places[index] = boxes[best]
        names = np.concatenate([names, boxes[best, None]])
        leaders = np.concatenate([leaders, dots[best]]) if is_far[best] else leaders
    return total, places


def _count_hits(boxes: np.ndarray, others: np.ndarray, gap: float) -> np.ndarray:
    """For each of boxes (..., 4), how many others (others, 4) come nearer than a gap."""
    hits = (others[:, :2] < boxes[..., None, 2:] + gap) & (others[:, 2:] > boxes[..., None, :2] - gap)
    counts: np.ndarray = hits.all(-1).sum(-1)
    return counts


def _title(ax: Axes, x: str, own: Sequence[Point], has_published: bool, speeds: Sequence[str]) -> None:
    metric = COMPLEXITY_METRICS[x]
    lines = ["classifier included; published: 447 classes"] if x == "params" and has_published else []
    if x == "throughput_clips_s":
        lines = [
            f"ours: {speeds[0] if len(speeds) == 1 else f'{len(speeds)} different devices or precisions, each with a front of its own'}"
        ] * bool(speeds)
        lines += [f"published: {PUBLISHED_SPEED}"] * has_published
    elif x == "macs" and has_published:
        lines = ["published MACs counted anew: the paper has BiGRU as zero and TCN twice"]
    if x != "params" and (others := sorted({point.clip_seconds for point in own} - {AXIS_SECONDS})):
        lines += [
            f"clips of {' and '.join(f'{seconds:g}' for seconds in others)} s: as many as {AXIS_SECONDS:g} s of sound take"
        ]
    ax.set_xlabel(f"{metric.label} ({'lower' if metric.is_lower_better else 'higher'} is better)")
    ax.set_title(TITLES[x], loc="left", fontsize=12, fontweight="bold", pad=42)
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
    for height, handles in ((0.105, heads), (0.075, shapes)):
        figure.legend(
            handles=handles,
            loc="center",
            bbox_to_anchor=(0.5, height),
            ncols=max(len(handles), 1),
            frameon=False,
            fontsize=8.5,
        )


def _footnotes(figure: Figure, published: Sequence[Point], has_bars: bool, note: str) -> None:
    figured, apart = (
        sum(point.origin == "figure" for point in published),
        sum(point.has_extra_training_data for point in published),
    )
    notes = (
        [
            f"Published: EfficientSED on AudioSet Strong, clips of 10 s; {figured} of {len(published)} scores read off a figure."
        ]
        if published
        else []
    )
    notes += [f"On no front: {apart} published that learnt from weak labels, too."] if apart else []
    notes += ["Bars: one standard deviation over seeds, or of one run the bootstrap's 95 %."] if has_bars else []
    notes += [f"Mixed: {note}."] if note else []
    figure.text(
        0.5,
        0.015,
        "\n".join(line for text in notes for line in textwrap.wrap(text, 230)),
        ha="center",
        va="bottom",
        fontsize=8,
        color="#606060",
    )
