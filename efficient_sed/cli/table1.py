"""Table 1 of dnd-sed: what was measured here beside what the paper prints.

Drossos et al. 2020 (https://arxiv.org/abs/2002.00476): parameters, frame-wise F1 and error rate at threshold 0.5 as
mean and standard deviation over repetitions, and wall seconds of a training epoch.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from efficient_sed.experiment.repeats import group_repeats, mean_and_sd
from efficient_sed.frontier.published import PublishedModel, read_published_models

PUBLISHED = "dnd_sed_table1"
COLUMNS = {"frame F1": "frame_f1", "error rate": "frame_error_rate"}


def table1(results: Sequence[Mapping[str, Any]]) -> Table | None:
    """A row per configuration of the paper's models, in the paper's order; None if no run has one of them.

    The paper's seconds are those of a V100 on 60 mixtures of eight minutes: compare ratios of rows, not columns.
    """
    published = {row.model: row for row in read_published_models(PUBLISHED)}
    order = list(published)
    groups = [
        group
        for group in group_repeats(results)
        if group[0]["model"] in published and group[0]["metrics"].get("frame_f1") is not None
    ]
    if not groups:
        return None
    title = "dnd-sed, Table 1: here, and as published"
    table = Table(title=title, title_justify="left", caption_justify="left")
    scores = (name for score in COLUMNS for name in (score, "published"))
    for column in ("model", "runs", "parameters", "published", *scores, "s an epoch", "published (V100)"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for group in sorted(groups, key=lambda group: order.index(group[0]["model"])):
        table.add_row(*_row(group, published[group[0]["model"]]))
    data = sorted({str(group[0]["data"]["name"]) for group in groups})
    table.caption = f"here on {', '.join(data)}; published on TUT-SED Synthetic 2016, mean of ten repetitions"
    return table


def _row(group: Sequence[Mapping[str, Any]], published: PublishedModel) -> list[str]:
    cells = [
        str(group[0]["model"]),
        str(len(group)),
        f"{group[0]['complexity']['params']:,}",
        f"{published.complexity['params']:,.0f}",
    ]
    for key in COLUMNS.values():
        mean, spread = mean_and_sd([result["metrics"][key] for result in group])
        cells += [f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}"), f"{published.scores[key]:.2f}"]
    seconds = [result["training"].get("seconds_per_epoch") for result in group]
    known = [value for value in seconds if value is not None]
    return [*cells, f"{statistics.fmean(known):.1f}" if known else "", f"{published.complexity['epoch_s']:.1f}"]
