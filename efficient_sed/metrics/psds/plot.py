"""The PSD-ROC as a picture: what the area is taken of."""

from __future__ import annotations

import io
from pathlib import Path

from efficient_sed.errors import ConfigError, MissingDependencyError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.metrics.psds.result import PsdsResult

ROC_FILE = "psd_roc.png"
MAX_THIN_LINES = 60  # classes that are drawn one by one


def draw_psd_roc(result: PsdsResult, path: str | Path) -> Path:
    """Write a PNG.

    Mean over classes, the same less its deviation, and thinly the classes themselves where they are not too many.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        ConfigError: If `path` does not end in .png.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("drawing a PSD-ROC", "matplotlib", "plot") from error
    if Path(path).suffix.lower() != ".png":
        raise ConfigError(f"{path} is not allowed: a file that ends in .png")
    roc, max_efpr = result.roc, float(result.variant["max_efpr"])
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    ax = figure.subplots()
    for curve in list(roc.per_class.values()) if len(roc.per_class) <= MAX_THIN_LINES else []:
        ax.step([*curve.efpr, max_efpr], [*curve.tpr, curve.tpr[-1]], where="post", color="0.8", linewidth=0.7)
    efpr = [*roc.efpr, max_efpr]
    ax.step(
        efpr,
        [*roc.macro_tpr, roc.macro_tpr[-1]],
        where="post",
        color="#0B5394",
        linewidth=1.8,
        label=f"mean over {result.num_classes} classes: {result.macro:.3f}",
    )
    ax.step(
        efpr,
        [*roc.etpr, roc.etpr[-1]],
        where="post",
        color="#CC4125",
        linewidth=1.4,
        label=f"less {result.variant['alpha_st']:g} standard deviations: {result.psds:.3f}",
    )
    ax.fill_between(efpr, [*roc.macro_tpr, roc.macro_tpr[-1]], step="post", color="#0B5394", alpha=0.08, linewidth=0)
    ax.set_xlim(0, max_efpr)
    ax.set_ylim(0, 1)
    ax.set_xlabel("false positives an hour")
    ax.set_ylabel("true-positive rate")
    ax.set_title(f"PSD-ROC, {result.num_clips} clips (area up to {max_efpr:g} an hour)", loc="left", fontsize=10)
    ax.grid(color="#EAEAEA", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_atomically(Path(path), picture.getvalue())
    return Path(path)
