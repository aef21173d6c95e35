"""What is in a data set, and whether every file of it can be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rich.table import Table

from efficient_sed.config.schema import DataConfig
from efficient_sed.data.events import PARTS, Clip, Splits
from efficient_sed.errors import DataError


def check_data(config: DataConfig) -> tuple[Splits, list[str]]:
    """Load a data set and decode every file; returns it with the messages of files that cannot be read."""
    splits = config.load()
    clips = [clip for part in PARTS for clip in getattr(splits, part)]
    with ThreadPoolExecutor(max_workers=max(1, config.num_workers)) as pool:
        problems = [message for message in pool.map(_decode, clips) if message]
    return splits, [*splits.skipped, *problems]


def _decode(clip: Clip) -> str | None:
    try:
        clip.audio.read()
    except DataError as error:
        return str(error)
    return None


def data_table(splits: Splits) -> Table:
    """Clips, hours and events per class of each part."""
    summaries = {part: splits.summary(part) for part in PARTS}
    table = Table(title="Events per class", title_justify="left")
    table.add_column("class")
    for part in PARTS:
        table.add_column(f"{part}\n{summaries[part].clips} clips, {summaries[part].hours:.2f} h", justify="right")
    for label in splits.classes:
        table.add_row(label, *(str(summaries[part].events[label]) for part in PARTS))
    return table
