"""Raven's selection tables, of one recording or, with `Begin File` or `Begin Path`, of many.

https://www.ravensoundsoftware.com/knowledge-base/ (Raven Pro user's manual, chapter 6). In a table of many recordings
`Begin Time (s)` counts from the first one's start, and `File Offset (s)` from the own one's. A selection that is drawn
in a waveform and a spectrogram has a row for each view, and counts once. BirdNET's selection tables are of this kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from efficient_sed.data.annotations.checked import not_seconds
from efficient_sed.data.annotations.contract import SCORE_DECIMALS, Annotations, Source
from efficient_sed.data.annotations.event_tables import TableFormat, header_of, missing_column, relative_names
from efficient_sed.data.annotations.tables import Row, join_row
from efficient_sed.errors import DataError
from efficient_sed.registry import ANNOTATION_FORMATS

BEGIN, END, FILE_OFFSET = "Begin Time (s)", "End Time (s)", "File Offset (s)"
FILES = ("Begin Path", "Begin File")
LABELS = ("Annotation", "Species", "Label", "Common Name", "Class", "Sound Type", "Call Type", "Tag", "Species Code")
SCORES = ("Score", "Confidence")
STANDARD = ("Selection", "View", "Channel", BEGIN, END, "Low Freq (Hz)", "High Freq (Hz)", "Begin File", FILE_OFFSET)
WHOLE_RANGE = ("0.0", "8000.0")  # Hz: a selection has frequencies, an event has none


@ANNOTATION_FORMATS.register("raven")
class Raven(TableFormat):
    """Written for one recording; detections are corrected in Raven and saved there, so they are never replaced."""

    ending = ".Table.1.selections.txt"
    holds_many = False
    known_columns = (*STANDARD, *FILES)

    def format(self, annotations: Annotations) -> str:
        """Write events; see `AnnotationFormat.format`."""
        ((file, found),) = annotations.events.items()
        own = ("Annotation", "Score") if annotations.has_scores else ("Annotation",)
        rows: list[list[object]] = [[*STANDARD, *own]]
        for number, event in enumerate(found, 1):
            onset, offset = f"{event.onset_s:.6f}", f"{event.offset_s:.6f}"
            values = (event.label, f"{event.score:.{SCORE_DECIMALS}f}")[: len(own)]
            file_name = PurePosixPath(file).name
            rows.append([number, "Spectrogram 1", 1, onset, offset, *WHOLE_RANGE, file_name, onset, *values])
        return "".join(map(join_row, rows))

    def recognises(self, source: Source) -> bool:
        """Recognise its columns of times; see `AnnotationFormat.recognises`."""
        return {BEGIN, END} <= set(header_of(source, "\t"))

    def columns(self, source: Source) -> dict[str, str]:
        """Return Raven's own, and the first that usually holds labels; see `TableFormat.columns`."""
        header = header_of(source, "\t")
        lower = {name.lower(): name for name in reversed(header)}
        usual = {"filename": FILES, "label": LABELS, "score": SCORES}
        found = {
            role: [lower[name.lower()] for name in names if name.lower() in lower] for role, names in usual.items()
        }
        known = {"onset": BEGIN, "offset": END} | {role: names[0] for role, names in found.items() if names}
        known |= dict(source.columns)
        if "label" not in known:
            raise DataError(f"{source.path}: {missing_column('label', header)}")
        return known

    def prepared(
        self, source: Source, columns: Mapping[str, str], rows: Iterable[Row]
    ) -> tuple[Iterable[Row], list[str]]:
        """Count selections once, with times and names of the own recording; see `TableFormat.prepared`."""
        table = list(rows)
        notes = _check_offsets(source, columns, table)
        views: dict[tuple[str, ...], str] = {}
        kept: list[Row] = []
        for place, row in table:
            number, view = row.get("Selection", ""), row.get("View", "")
            key = (number, *(row.get(column, "") for column in (columns["onset"], columns["offset"], *FILES)))
            if number and view and views.setdefault(key, view) != view:
                continue
            kept.append((place, _in_file(place, row, columns)))
        if "filename" in columns:
            names = _names([row[columns["filename"]] or row.get(FILES[1], "") for _, row in kept], source)
            for (_, row), name in zip(kept, names, strict=True):
                row[columns["filename"]] = name
        num_twice = len(table) - len(kept)
        note = f"{source.path}: {num_twice:,} rows show a selection in a second view: counted once"
        return kept, [*notes, note] if num_twice else notes

    def is_detections(self, start: str) -> bool:
        """Never; see the class."""
        return False


def _check_offsets(source: Source, columns: Mapping[str, str], table: Sequence[Row]) -> list[str]:
    """A note if nothing says where events lie in each of several recordings.

    Raises:
        DataError: If that is said of some events only.
    """
    num_files = len({row[columns["filename"]] for _, row in table}) if "filename" in columns else 1
    events = [(place, row) for place, row in table if row[columns["onset"]]]
    empty = [place for place, row in events if not row.get(FILE_OFFSET)]
    if columns["onset"] != BEGIN or num_files < 2 or not empty:
        return []
    if len(empty) < len(events):
        raise DataError(f"{empty[0]}: {FILE_OFFSET} is empty; give it in every row, as times within the recording")
    lack = f"{num_files:,} recordings without {FILE_OFFSET!r}"
    return [f"{source.path}: {lack}: {BEGIN!r} is taken for the time within each"]


def _in_file(place: str, row: dict[str, str], columns: Mapping[str, str]) -> dict[str, str]:
    """A row whose times count from the start of its recording."""
    if columns["onset"] != BEGIN or not row.get(FILE_OFFSET):
        return row
    onset, offset, own = row[BEGIN], row[columns["offset"]], row[FILE_OFFSET]
    try:
        end = round(float(own) + (float(offset) - float(onset)), 9)
    except ValueError:
        raise not_seconds(place, {BEGIN: onset, END: offset, FILE_OFFSET: own}) from None
    return row | {BEGIN: own, columns["offset"]: str(end)}


def _names(raw: list[str], source: Source) -> list[str]:
    """Names of the recordings of rows; a mere file name is that of a recording which lies as the table does."""
    named, folder = relative_names(set(raw), source.recording), PurePosixPath(source.recording).parent
    placed = {name: own if "/" in own else (folder / own).as_posix() for name, own in named.items()}
    return [placed[name] if name else source.recording for name in raw]
