"""Places for the names of points: greedily, covering no point, name or leader line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from efficient_sed.frontier.figure import DPI, INK
from efficient_sed.frontier.points import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)
LABEL_SIZE, LEADER_FROM = 7.5, 13
PIXEL = DPI / 72  # pixels per point
RADII = (8, 11, 15, 20, 27, 35, 45, 57, 70, 85, 100, 120, 145, 175, 210)


def place_labels(
    ax: Axes, points: Sequence[Point], positions: np.ndarray, colours: dict[str, str], soft: np.ndarray, renderer: Any
) -> list[str]:
    """Names beside their points, covering no point, name or leader; those that find no room near get a leader line.

    Args:
        ax: Axes with their final limits.
        points: What is named.
        positions: Data coordinates (points, 2).
        colours: Of leader lines, by family.
        soft: Pixels (dots, 2) that names rather do not cover.
        renderer: What measures text.

    Returns:
        Names that found no room and are left out; `warn_left_out` says so for all panels of a picture.
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
    return [point.label for index, point in enumerate(points) if index not in boxes]


def warn_left_out(labels: Iterable[str]) -> None:
    """Say once of each name that it had no room."""
    for label in dict.fromkeys(labels):
        logger.warning("the plot has no room for the name %s", label)


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
