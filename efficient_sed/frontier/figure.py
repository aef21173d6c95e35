"""What all pictures share: colours, axes, the front as steps, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from efficient_sed.errors import DataError, MissingDependencyError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.frontier.axes import COMPLEXITY_METRICS
from efficient_sed.frontier.front import pareto_front
from efficient_sed.frontier.points import Point
from efficient_sed.frontier.runs import output_base, with_ending

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    "mingru": "#F2A683",
}
OTHER_COLOUR = "#8C6D31"
INK, DPI = "#333333", 150


def save_figure(draw: Callable[[Figure, Any], None], size: tuple[float, float], dpi: int, output: Path) -> list[Path]:
    """Write what `draw(figure, renderer)` draws as PNG and SVG.

    Args:
        draw: Gets an empty figure and what measures text in it.
        size: Width and height in inches.
        dpi: Pixels of the PNG per inch.
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
        "text.parse_math": False,  # a $ in a name is no formula
    }
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


def coordinates(points: Sequence[Point], x: str) -> np.ndarray:
    """Cost and score of points, shape (points, 2)."""
    return np.array([(point.complexity[x], point.score) for point in points]).reshape(-1, 2)


def pad_scores(scores: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis that leave room above and below the scores."""
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
    line = coordinates(pareto_front(points, x), x)
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
