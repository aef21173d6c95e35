"""Detected events as text: tables for programs, label tracks for Audacity, a table for the terminal."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from efficient_sed.data.annotations.tables import join_row, split_rows
from efficient_sed.data.events import Event
from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import check_spellings
from efficient_sed.errors import ConfigError, DataError, escape_json, nearest

TABLE_FORMATS = ("tsv", "json", "rttm")  # any number of recordings in one text
RECORDING_FORMATS = {"audacity": ".txt", "jams": ".jams"}  # a text for each recording, with this ending
EVENT_FORMATS = (*TABLE_FORMATS, *RECORDING_FORMATS)
TSV_COLUMNS = ("filename", "onset", "offset", "event_label", "score")  # DESED's four, then ours
JAMS_VERSION = "0.3.4"
NUMBER = r"-?\d+\.\d+"
STARTS = {
    "tsv": "\t".join(TSV_COLUMNS) + r"\n",
    "json": r'\[(\]|\s*\{\s*"file": )',
    "rttm": rf"SPEAKER \S+ 1 {NUMBER} {NUMBER} <NA> <NA> \S+ {NUMBER} <NA>\n",  # a reference has no score
    "jams": r'\{\s*"annotations": \[\s*\{\s*"annotation_metadata": \{\s*"annotation_tools": "efficient_sed"',
}
"""How our texts of each format begin, unless they are empty; nothing tells whose a label track is."""
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # half characters: bytes that are no UTF-8
_NO_DURATIONS: Mapping[str, float] = MappingProxyType({})


def format_events(
    events_by_file: Mapping[str, Sequence[Event]], output_format: str, durations_s: Mapping[str, float] = _NO_DURATIONS
) -> str:
    """Text with a line break at its end; times in seconds.

    Args:
        output_format: "tsv", a row an event, and one with empty fields for a file without events; "json", a list of files; "rttm", a line an event with
            the fields of NIST's Rich Transcription Time Marked, blanks as underscores; of one file "audacity", its label track, or "jams", its JSON
            annotations as segments.
        durations_s: Lengths of the files, used by "json" and "jams"; null there for a file that is left out.

    Raises:
        ConfigError: If the format is unknown, is of one file and asked for several, or cannot hold a name or a label.
    """
    if output_format not in EVENT_FORMATS:
        raise ConfigError(f"format={output_format} is not allowed: {nearest(output_format, EVENT_FORMATS)}")
    check_names(list(events_by_file), output_format)
    check_labels(sorted({event.label for events in events_by_file.values() for event in events}), output_format)
    if output_format == "tsv":
        return _tsv(events_by_file)
    if output_format == "json":
        return _dumped([_entry(file, events, durations_s.get(file)) for file, events in events_by_file.items()])
    if output_format == "rttm":
        return "".join(_rttm(_rttm_name(file), event) for file, events in events_by_file.items() for event in events)
    if len(events_by_file) != 1:
        raise ConfigError(
            f"format={output_format} is not allowed for {len(events_by_file)} files in one text: it belongs to one recording"
        )
    ((file, events),) = events_by_file.items()
    if output_format == "jams":
        return _dumped(_jams(file, events, durations_s.get(file)))
    return "".join(f"{event.onset_s:.6f}\t{event.offset_s:.6f}\t{event.label}\n" for event in events)


def check_names(names: Sequence[str], output_format: str) -> None:
    """Raise a ConfigError for the name of a recording that would not be read again as it is."""
    try:
        check_spellings(names)
    except DataError as error:
        raise ConfigError(f"format={output_format} is not allowed: {error}") from error
    if output_format == "rttm" and len({_rttm_name(name) for name in names}) < len(names):
        raise ConfigError(
            "format=rttm is not allowed for files that differ in their endings or blanks alone: it would call them the same; take tsv or json"
        )
    if output_format in ("tsv", "rttm"):
        for name in names:
            if not (_fits_tsv(name) if output_format == "tsv" else _fits_rttm(name)):
                problem = f"it cannot hold the name {name!r}"
                raise ConfigError(f"format={output_format} is not allowed: {problem}; take json, or rename the file")


def check_labels(labels: Sequence[str], output_format: str) -> None:
    """Raise a ConfigError for a label that would not be read again as it is."""
    if output_format == "tsv":
        odd = next((label for label in labels if label != label.strip() or not label or not _fits_tsv(label)), None)
        problem = odd if odd is None else f"it cannot hold the label {odd!r}"
    else:
        problem = None if output_format in ("json", "jams") else label_problem(labels)
    if problem:
        raise ConfigError(f"format={output_format} is not allowed: {problem}; take json or jams")
    if output_format == "rttm":
        names: dict[str, str] = {}
        for label in labels:
            if (other := names.setdefault(_joined(label), label)) != label or label == "<NA>":
                same = "none" if other == label else repr(other)
                raise ConfigError(f"format=rttm is not allowed: it cannot tell {label!r} from {same}; take tsv or json")


def _fits_rttm(name: str) -> bool:
    return bool(_rttm_name(name)) and not _CONTROLS.search(name)


def _fits_tsv(text: str) -> bool:
    """Whether it is read again as a name and as a label."""
    if _CONTROLS.search(text) or not any(mark in text for mark in '"\t\r\n'):
        return not _CONTROLS.search(text)
    rows = [
        list(TSV_COLUMNS),
        [text, "0.0", "1.0", text, "1.0"],
        [text, "", "", "", ""],
        ["a", "0.0", "1.0", text, "1.0"],
    ]
    return [fields for _, fields in split_rows(io.StringIO("".join(map(join_row, rows)), newline=""), "\t")] == rows


def _tsv(events_by_file: Mapping[str, Sequence[Event]]) -> str:
    lines = [join_row(TSV_COLUMNS)]
    for file, events in events_by_file.items():
        rows = ([file, round(e.onset_s, 6), round(e.offset_s, 6), e.label, round(e.score, 4)] for e in events)
        lines += map(join_row, rows)
        if not events:
            lines.append(join_row([file, "", "", "", ""]))
    return "".join(lines)


def _entry(file: str, events: Sequence[Event], duration_s: float | None) -> dict[str, object]:
    rows = [
        {"onset_s": round(e.onset_s, 6), "offset_s": round(e.offset_s, 6), "label": e.label, "score": round(e.score, 4)}
        for e in events
    ]
    return {"file": file, "duration_s": None if duration_s is None else round(duration_s, 6), "events": rows}


def _dumped(content: object) -> str:
    return escape_json(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"


def _rttm(name: str, event: Event) -> str:
    times = f"{event.onset_s:.3f} {event.offset_s - event.onset_s:.3f}"
    return f"SPEAKER {name} 1 {times} <NA> <NA> {_joined(event.label)} {event.score:.4f} <NA>\n"


def _rttm_name(file: str) -> str:
    return _joined(Path(file).with_suffix("").as_posix())


def _joined(text: str) -> str:
    return "_".join(text.split())


def _jams(file: str, events: Sequence[Event], duration_s: float | None) -> dict[str, object]:
    """Humphrey et al., "JAMS: a JSON annotated music specification for reproducible MIR research", ISMIR 2014; intervals with labels are its `segment_open`."""
    data = [
        {
            "time": round(e.onset_s, 6),
            "duration": round(e.offset_s - e.onset_s, 6),
            "value": e.label,
            "confidence": round(e.score, 4),
        }
        for e in events
    ]
    seconds = None if duration_s is None else round(duration_s, 6)
    annotation = {
        "annotation_metadata": {"annotation_tools": "efficient_sed", "data_source": "program"},
        "namespace": "segment_open", "data": data, "sandbox": {}, "time": 0, "duration": seconds,
    }  # fmt: skip
    metadata = {
        "title": Path(file).stem,
        "artist": "",
        "release": "",
        "duration": seconds,
        "identifiers": {"file": file},
        "jams_version": JAMS_VERSION,
    }
    return {"annotations": [annotation], "file_metadata": metadata, "sandbox": {}}
