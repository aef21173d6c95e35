"""Tables of `efficient-sed data check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from efficient_sed.data.check import DataReport, summarise
from efficient_sed.data.check_lengths import Lengths
from efficient_sed.data.events import Splits
from efficient_sed.data.subsets import count_by_subset

MAX_ROWS, SHOWN_ROWS = 40, 10  # of more classes than that the ten commonest and the ten rarest are shown


def coverage_table(report: DataReport) -> Table:
    """Expected, found, unreadable, without teacher: one row per part."""
    table = Table(title="Clips", title_justify="left")
    for column in ("part", "expected", "found", "of expected", "unreadable", "without teacher"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part, row in report.coverage.items():
        share = "" if not row.expected else f"{row.found / row.expected:.1%}"
        expected, without = ("" if value is None else f"{value:,}" for value in (row.expected, row.without_teacher))
        table.add_row(part, expected, f"{row.found:,}", share, f"{row.unreadable:,}", without)
        subsets = count_by_subset(getattr(report.splits, part))
        for name, count in subsets.items() if len(subsets) > 1 else ():
            table.add_row(f"  {name}", "", f"{count:,}", "", "", "")
    return table


def data_table(splits: Splits, *, is_whole: bool = False) -> Table:
    """Clips, hours and events per class of each part.

    Args:
        splits: The data set.
        is_whole: Show every class of a long list, instead of the commonest and the rarest ones in training.
    """
    summaries = {part: summarise(getattr(splits, part), splits.classes) for part in splits.parts}
    counts = summaries["train"].events
    labels = _shown(splits.classes, counts, is_whole=is_whole)
    table = Table(title="Events per class", title_justify="left", caption_justify="left")
    if len(labels) < len(splits.classes):
        absent = sum(count == 0 for count in counts.values())
        table.caption = (
            f"the {SHOWN_ROWS} commonest and the {SHOWN_ROWS} rarest of {len(splits.classes)} classes; "
            f"{absent} have no event in training; --classes shows all"
        )
    table.add_column("class")
    for part in splits.parts:
        table.add_column(f"{part}\n{summaries[part].clips} clips, {summaries[part].hours:.2f} h", justify="right")
    for row, label in enumerate(labels):
        table.add_row(
            label,
            *(str(summaries[part].events[label]) for part in splits.parts),
            end_section=len(labels) < len(splits.classes) and row == SHOWN_ROWS - 1,
        )
    return table


def lengths_table(lengths: Mapping[str, Lengths], *, is_whole: bool = False) -> Table:
    """How long events of the training part are, by class; of a long list the commonest and the rarest.

    Args:
        lengths: By class.
        is_whole: Show every class.
    """
    table = Table(title="Seconds of an event in training", title_justify="left")
    for column in ("class", "events", "10 % are shorter than", "median", "10 % are longer than"):
        table.add_column(column, justify="left" if column == "class" else "right")
    counts = {label: own.num_events for label, own in lengths.items()}
    for label in _shown(list(lengths), counts, is_whole=is_whole):
        own = lengths[label]
        table.add_row(label, f"{own.num_events:,}", *(f"{value:.2f}" for value in own[1:]))
    return table


def _shown(labels: Sequence[str], counts: Mapping[str, int], *, is_whole: bool) -> list[str]:
    """All labels, or of a long list the commonest and the rarest."""
    if len(labels) <= MAX_ROWS or is_whole:
        return list(labels)
    ordered = sorted(labels, key=lambda label: -counts[label])
    return [*ordered[:SHOWN_ROWS], *ordered[-SHOWN_ROWS:]]
