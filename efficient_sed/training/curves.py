"""A training's curves as a picture: losses, validation scores, learning rates over steps."""

from __future__ import annotations

import csv
import importlib.util
import logging
import math
from collections import defaultdict
from pathlib import Path

from efficient_sed.files.atomic import write_atomically

logger = logging.getLogger(__name__)
METRICS_FILE, CURVES_FILE = "metrics.csv", "curves.png"
Curves = dict[str, list[tuple[int, float]]]
PANELS = (("losses", ("train/loss", "val/loss")), ("validation", ("val/", "val_student/")), ("learning rate", ("lr-",)))
NOT_DRAWN = ("_step", "error_rate", "dprime")  # the latter two have no upper bound and would flatten the scores
LOSS = "train/loss"
ROUNDING = 1e-5  # relative, of sums of single precision
MAX_LABELS = 8  # a group for each backbone stage: the last ones stand for the rest


def read_curves(run_folder: Path) -> Curves:
    """Values over steps by name, from `metrics.csv` and those of interrupted parts; empty if there are none."""
    curves: defaultdict[str, dict[int, float]] = defaultdict(dict)
    parts = sorted(run_folder.glob("metrics_part*.csv"), key=lambda path: int(path.stem.removeprefix("metrics_part")))
    for path in [*parts, run_folder / METRICS_FILE]:
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            # the last line of an interrupted part may be cut off
            for row in csv.DictReader(line for line in file if line.endswith("\n")):
                for name, text in row.items():
                    if name not in ("epoch", "step") and text:
                        # a step that was repeated after an interruption counts once
                        curves[name][int(row["step"])] = float(text)
    return {name: sorted(values.items()) for name, values in curves.items()}


def trained_on(curves: Curves) -> Curves:
    """Leave out parts of the loss that did not count: those that are 0, and all of them if one is the whole loss."""
    parts = {name for name in curves if name.startswith(f"{LOSS}_") and name not in (f"{LOSS}_epoch", f"{LOSS}_step")}
    unused = {name for name in parts if not any(value for _, value in curves[name])}
    if any(_are_equal(curves[name], curves.get(f"{LOSS}_{name.rpartition('_')[2]}", [])) for name in parts):
        unused = parts
    return {name: values for name, values in curves.items() if name not in unused}


def _are_equal(some: list[tuple[int, float]], others: list[tuple[int, float]]) -> bool:
    return len(some) == len(others) and all(
        math.isclose(one, other, rel_tol=ROUNDING) for (_, one), (_, other) in zip(some, others, strict=True)
    )


def draw_curves(run_folder: Path) -> Path | None:
    """Draw `curves.png` beside `metrics.csv`; none if there is nothing to draw or matplotlib is not installed."""
    curves = trained_on(read_curves(run_folder))
    if not any(_drawn(curves, *panel) for panel in PANELS) or importlib.util.find_spec("matplotlib") is None:
        logger.debug("%s: no curves drawn", run_folder)
        return None
    from io import BytesIO

    from matplotlib.figure import Figure

    panels = {title: names for title, prefixes in PANELS if (names := _drawn(curves, title, prefixes))}
    figure = Figure(figsize=(13 / len(PANELS) * len(panels), 4.4), layout="constrained")
    for ax, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name in names:
            ax.plot(
                *zip(*curves[name], strict=True),
                marker="." if len(curves[name]) < 50 else None,
                linewidth=1.2,
                label=name.removesuffix("_epoch"),
            )
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        ax.set_xlabel("step")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(color="#EAEAEA", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=7.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.suptitle(run_folder.name, fontsize=9, color="#606060")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_atomically(run_folder / CURVES_FILE, picture.getvalue())
    return run_folder / CURVES_FILE


def _drawn(curves: Curves, title: str, prefixes: tuple[str, ...]) -> list[str]:
    """Names of the curves of a panel: of scores with a mean over classes that mean alone."""
    names = [name for name in curves if name.startswith(prefixes) and not name.endswith(NOT_DRAWN)]
    names = [name for name in names if f"{name}_macro" not in curves]
    return sorted(name for name in names if title != "validation" or name != "val/loss")[-MAX_LABELS:]
