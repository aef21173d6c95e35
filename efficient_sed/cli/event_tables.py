"""Tables of `efficient-sed detect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from efficient_sed.data.events import Event
from efficient_sed.errors import printable
from efficient_sed.inference.uncertain import Excerpt


def events_table(events_by_file: Mapping[str, Sequence[Event]]) -> Table:
    """A table for the terminal: a row an event, files set apart by a line; labels are never read as markup."""
    table = Table("file", "event")
    for name in ("onset s", "offset s", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    for file, events in events_by_file.items():
        for row, event in enumerate(events):
            table.add_row(
                Text(printable(file) if row == 0 else ""),
                Text(event.label),
                f"{event.onset_s:.2f}",
                f"{event.offset_s:.2f}",
                f"{event.score:.2f}",
            )
        if not events:
            table.add_row(Text(printable(file)), Text("no events", style="dim"))
        table.add_section()
    return table


def excerpts_table(excerpts: Sequence[Excerpt], folder: Path | None = None) -> Table:
    """A table of doubtful excerpts: a row each, named by its file in the folder if it has one."""
    table = Table("file", "class", box=None, pad_edge=False)
    for name in ("onset s", "offset s", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for excerpt in excerpts:
        event = excerpt.doubt.event
        name = excerpt.recording.name if folder is None else str(folder / excerpt.clip)
        table.add_row(
            Text(printable(name)), Text(event.label), f"{event.onset_s:.2f}", f"{event.offset_s:.2f}",
            f"{event.score:.2f}", excerpt.doubt.reason,
        )  # fmt: skip
    return table
