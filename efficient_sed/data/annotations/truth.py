"""True events of one recording from a file of annotations."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError, nearest

if TYPE_CHECKING:
    from efficient_sed.data.events import Event


def read_truth(path: Path, recording: str, duration_s: float, format_name: str | None = None) -> tuple[Event, ...]:
    """Events of a recording, which the annotations name by its path, its file name, or that without its ending.

    Args:
        path: Annotations in any format that is read, or a folder of them.
        recording: Path of the recording.
        duration_s: Its length in seconds.
        format_name: Of the annotations; default None, recognised by their content.

    Raises:
        DataError: If the file cannot be read, has not exactly one such recording, or an event lies behind its end.
    """
    from efficient_sed.data.events import clip_events  # help lists the formats beside this file without numpy

    by_name = read_annotations(path, format_name).events
    wanted = PurePosixPath(canonical(recording))
    found = [name for name in by_name if PurePosixPath(name) == wanted]
    for own in (wanted.name, wanted.stem):
        found = found or [name for name in by_name if PurePosixPath(name).name == own]
    if len(found) > 1:
        raise DataError(f"{path}: {wanted.name!r} is in it {len(found)} times, such as {found[0]!r} and {found[1]!r}")
    if not found:
        advice = "if it has no events, add a row with its filename and nothing else"
        raise DataError(f"{path}: {wanted.name!r} is no recording in it; {nearest(wanted.name, by_name)}; {advice}")
    return clip_events(by_name[found[0]], duration_s)[0]
