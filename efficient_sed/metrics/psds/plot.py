"""The PSD-ROC as a picture: what the area is taken of."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from efficient_sed.errors import ConfigError, MissingDependencyError, printable
from efficient_sed.files.atomic import write_atomically
from efficient_sed.metrics.psds.result import PsdsResult

ROC_FILE = "psd_roc.png"
MAX_COLOURED = 20  # classes that get a colour and a label each; of more, the best and the worst one
MAX_THIN_LINES = 60  # classes that are drawn one by one
MAX_LABEL = 28  # characters


def draw_psd_roc(result: PsdsResult, path: str | Path) -> Path:
    """Write a PNG.

    Mean over classes, the same less its deviation, and thinly the classes themselves: each in a colour and with its
    value, or where they are many the best and the worst one, and the others in grey.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        ConfigError: If `path` does not end in .png.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("drawing a PSD-ROC", "matplotlib", "plot") from error
    if Path(path).suffix.lower() != ".png":
        raise ConfigError(f"{path} is not allowed: a file that ends in .png")
    roc, max_efpr = result.roc, float(result.variant["max_efpr"])
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    ax = figure.subplots()
    labelled = labelled_classes(result.per_class)
    grey = [] if len(roc.per_class) > MAX_THIN_LINES else [label for label in roc.per_class if label not in labelled]
    colours = colormaps["tab20" if len(labelled) > 10 else "tab10"]
    for curve in (roc.per_class[label] for label in grey):
        ax.step([*curve.efpr, max_efpr], [*curve.tpr, curve.tpr[-1]], where="post", color="0.8", linewidth=0.7)
    efpr = [*roc.efpr, max_efpr]
    ax.step(
        efpr,
        [*roc.macro_tpr, roc.macro_tpr[-1]],
        where="post",
        color="0.1",
        linewidth=2.2,
        label=f"mean over {result.num_classes} classes: {result.macro:.3f}",
    )
    ax.step(
        efpr,
        [*roc.etpr, roc.etpr[-1]],
        where="post",
        color="0.1",
        linestyle="--",
        linewidth=1.4,
        label=f"less {result.variant['alpha_st']:g} of the standard deviation: {result.psds:.3f}",
    )
    for index, (label, text) in enumerate(labelled.items()):
        curve = roc.per_class[label]
        steps = [*curve.efpr, max_efpr], [*curve.tpr, curve.tpr[-1]]
        ax.step(*steps, where="post", color=colours(index), linewidth=1, alpha=0.9, label=text)
    ax.fill_between(efpr, [*roc.macro_tpr, roc.macro_tpr[-1]], step="post", color="0.1", alpha=0.06, linewidth=0)
    ax.set_xlim(0, max_efpr)
    ax.set_ylim(0, 1)
    ax.set_xlabel("false positives an hour")
    ax.set_ylabel("true-positive rate")
    ax.set_title(f"PSD-ROC, {result.num_clips} clips (area up to {max_efpr:g} an hour)", loc="left", fontsize=10)
    ax.grid(color="#EAEAEA", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    for entry in legend.get_texts():
        entry.set_parse_math(False)  # a label may hold dollars
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_atomically(Path(path), picture.getvalue())
    return Path(path)


def labelled_classes(per_class: Mapping[str, float]) -> dict[str, str]:
    """What the legend says of classes, the best first."""
    ranked = sorted(per_class, key=lambda label: -per_class[label])
    texts = {label: f"{_shorten(label)}: {per_class[label]:.3f}" for label in ranked}
    if len(ranked) <= MAX_COLOURED:
        return texts
    best, worst = ranked[0], ranked[-1]
    return {best: f"best, {texts[best]}", worst: f"worst, {texts[worst]}"}


def _shorten(label: str) -> str:
    """A label that a legend has room for; one that begins with an underscore would be left out of it."""
    label = printable(label)
    return f" {label}" if label.startswith("_") else label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"
