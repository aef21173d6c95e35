"""Tables of `efficient-sed models`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from efficient_sed.benchmark.model_groups import Row, group_rows

RELEASED_NOTE = (
    "MACs of a clip of 10 s. Scores compare within a table; tuned: with the post-processing that the file carries.\n"
    "What is not here is downloaded when it is loaded. All about one: efficient-sed models NAME\n"
    "Others are composed: efficient-sed models --composable"
)


def released_tables(rows: Sequence[Row]) -> list[Table]:
    """Released weights for a terminal of 80 columns: a table for each group of models whose scores compare."""
    width = max(len(row["name"]) for row in rows)
    tables = []
    for title, group in group_rows(rows).items():
        scores = [row["scores"][0] for row in group if row["scores"]]
        shown = {"value": scores[0]["metric"]} if scores else {}
        if any(score["tuned"] is not None for score in scores):
            shown["tuned"] = "tuned"
        table = _table(title, ("name", "params", "MACs", *shown.values(), "here"))
        table.columns[0].min_width = width
        for row in group:
            values = (row["scores"][0][key] for key in shown)
            texts = ("" if value is None else f"{value:.3f}" for value in values)
            here = "yes" if row["path"] else "no"
            table.add_row(row["name"], _millions(row["params"]), _millions(row["macs"]), *texts, here)
        tables.append(table)
    return tables


def composable_table(rows: Sequence[Row]) -> Table:
    """Architectures for a terminal."""
    table = _table("Composable models, 447 classes (MACs of a 10 s clip)", ("name", "params", "MACs"))
    for row in rows:
        table.add_row(row["name"], _millions(row["params"]), _millions(row["macs"]))
    return table


def card_table(row: Row) -> Table:
    """Everything about one released model."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for key, value in row.items():
        if key == "scores":
            for score in value:
                tuned = "" if score["tuned"] is None else f", tuned {score['tuned']:.4g},"
                where = f"on {score['evaluated_on']}{_conditions(score)}; {score['source']}"
                table.add_row(score["metric"], Text(f"{score['value']:.4g}{tuned} {where}"))
        elif key == "input":
            table.add_row(
                key, ", ".join(f"{name} {number}" for name, number in value.items()) if value else "not sound"
            )
        elif key == "path":
            table.add_row("here", Text(value or f"no: {row['file']} is downloaded when it is loaded"))
        elif value is not None and value != []:
            table.add_row(
                key,
                Text(
                    "\n".join(value) if isinstance(value, list) else f"{value:,}" if isinstance(value, int) else value
                ),
            )
    return table


def _conditions(score: Row) -> str:
    parts = [f"{score[key]:,} {word}" for key, word in (("clips", "clips"), ("num_classes", "classes")) if score[key]]
    return f" ({', '.join(parts)})" if parts else ""


def _millions(number: int) -> str:
    return f"{number / 1e6:,.1f} M" if number < 1e8 else f"{number / 1e6:,.0f} M"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in columns:
        is_text = column in ("name", "here")
        table.add_column(column, justify="left" if is_text else "right", no_wrap=column != "name", overflow="fold")
    return table
