"""Any other table with a header and a row an event: columns by the names that are usual, or by those of the user.

Fields are separated by commas, semicolons or tabs. A table without a column of file names is about the recording of its
own name. BirdNET's tables of results are read so, their `Confidence` as score. Written are the columns of DESED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from efficient_sed.data.annotations.contract import Source
from efficient_sed.data.annotations.event_tables import TableFormat, header_of, missing_column, relative_names
from efficient_sed.data.annotations.tables import DELIMITERS, Row
from efficient_sed.errors import DataError
from efficient_sed.registry import ANNOTATION_FORMATS

USUAL = {
    "filename": ("filename", "file", "file_name", "filepath", "file_path", "recording", "audio"),
    "onset": ("onset", "onset_s", "start", "start_s", "start_(s)", "start_time", "begin", "begin_time"),
    "offset": ("offset", "offset_s", "end", "end_s", "end_(s)", "end_time", "stop"),
    "label": ("event_label", "label", "event", "class", "common_name", "species", "annotation"),
    "score": ("score",),
}
"""Names of columns by role, in lower case with _ for blanks; of several in a table the first here counts."""
BIRDNET = ("common_name", "confidence")  # labels and scores; elsewhere a confidence weighs a label
NEEDED = ("onset", "offset", "label")


@ANNOTATION_FORMATS.register("csv")
class Csv(TableFormat):
    """Comma-separated values."""

    ending = ".csv"
    written_delimiter = ","
    is_fallback = True

    def delimiter(self, source: Source) -> str:
        """Return that which yields most columns with a role; see `TableFormat.delimiter`."""
        return max(DELIMITERS, key=lambda each: (len(_known(source, each)), len(header_of(source, each))))

    def recognises(self, source: Source) -> bool:
        """Recognise columns of onsets, offsets and labels; see `AnnotationFormat.recognises`."""
        delimiter = self.delimiter(source)
        known = _known(source, delimiter)
        return all(known.get(role) in header_of(source, delimiter) for role in NEEDED)

    def columns(self, source: Source) -> dict[str, str]:
        """Return those that are named as usual, or by the user; see `TableFormat.columns`."""
        delimiter = self.delimiter(source)
        known = _known(source, delimiter)
        if missing := next((role for role in NEEDED if role not in known), None):
            raise DataError(f"{source.path}: {missing_column(missing, header_of(source, delimiter))}")
        return known

    def prepared(
        self, source: Source, columns: Mapping[str, str], rows: Iterable[Row]
    ) -> tuple[Iterable[Row], list[str]]:
        """Return rows with decimal points, and relative paths; see `TableFormat.prepared`."""
        has_commas = self.delimiter(source) == ";"  # as spreadsheets write 0,5 where they separate by semicolons
        table = list(rows)
        raw = {row[columns["filename"]] for _, row in table} if "filename" in columns else ()
        names = relative_names(raw, source.recording)
        for _, row in table:
            for role in ("onset", "offset", "score") if has_commas else ():
                if role in columns:
                    row[columns[role]] = row[columns[role]].replace(",", ".")
            if "filename" in columns:
                row[columns["filename"]] = names[row[columns["filename"]]]
        return table, []


def _known(source: Source, delimiter: str) -> dict[str, str]:
    header = {name.strip().lower().replace(" ", "_"): name for name in reversed(header_of(source, delimiter))}
    usual = {role: next((name for name in names if name in header), "") for role, names in USUAL.items()}
    if usual["label"] == BIRDNET[0] and not usual["score"] and BIRDNET[1] in header:
        usual["score"] = BIRDNET[1]
    return {role: header[name] for role, name in usual.items() if name} | dict(source.columns)
