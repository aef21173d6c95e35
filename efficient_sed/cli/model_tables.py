"""Tables of `efficient-sed models`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from efficient_sed.benchmark.model_list import Row


def released_table(rows: Sequence[Row]) -> Table:
    """Released weights for a terminal of 80 columns."""
    table = _table(
        "Released weights (MACs of a 10 s clip)", ("name", "task", "params", "MACs", "score", "tuned", "here")
    )
    for row in rows:
        score = row["scores"][0] if row["scores"] else {"value": None, "tuned": None}
        table.add_row(
            row["name"],
            row["task"],
            _millions(row["params"]),
            _millions(row["macs"]),
            *("" if score[key] is None else f"{score[key]:.3f}" for key in ("value", "tuned")),
            "yes" if row["path"] else "no",
        )
    table.caption = (
        "score: macro PSDS1 for detection, mAP else; on different data they do not compare; "
        "tuned: with the post-processing that the file carries. "
        "What is not here is downloaded when it is loaded. All about one: efficient-sed models NAME. "
        "Others are composed: efficient-sed models --composable"
    )
    return table


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
        is_text = column in ("name", "task", "here")
        table.add_column(column, justify="left" if is_text else "right", no_wrap=column != "name", overflow="fold")
    return table
