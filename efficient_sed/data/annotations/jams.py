"""JAMS: JSON annotations of one recording, detections as segments.

Humphrey et al., "JAMS: a JSON annotated music specification for reproducible MIR research", ISMIR 2014. Intervals with
labels are its namespaces `segment_open` (which is written), `tag_open`, and `scaper` (before version 1: `sound_event`)
of soundscapes that Scaper mixed (Salamon et al., WASPAA 2017), where a background is no event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efficient_sed.data.annotations.checked import known_length, make_event, not_seconds
from efficient_sed.data.annotations.contract import SCORE_DECIMALS, AnnotationFormat, Annotations, Source, to_json
from efficient_sed.data.spelling import canonical_path
from efficient_sed.errors import DataError
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

VERSION = "0.3.4"
TOOL = "efficient_sed"
NAMESPACES = ("segment_open", "tag_open", "scaper", "sound_event")


@ANNOTATION_FORMATS.register("jams")
class Jams(AnnotationFormat):
    """JSON with one annotation; the metadata of detections name this program."""

    ending = ".jams"
    holds_many = False
    holds_durations = True

    def format(self, annotations: Annotations) -> str:
        """Write events; see `AnnotationFormat.format`."""
        ((file, found),) = annotations.events.items()
        duration_s = annotations.durations_s.get(file)
        seconds = None if duration_s is None else round(duration_s, 6)
        data: list[dict[str, Any]] = [
            {
                "time": round(e.onset_s, 6), "duration": round(e.offset_s - e.onset_s, 6),
                "value": e.label, "confidence": round(e.score, SCORE_DECIMALS) if annotations.has_scores else None,
            }
            for e in found
        ]  # fmt: skip
        made = {"annotation_tools": TOOL, "data_source": "program"} if annotations.has_scores else {}
        annotation = {
            "annotation_metadata": made,
            "namespace": "segment_open", "data": data, "sandbox": {}, "time": 0, "duration": seconds,
        }  # fmt: skip
        metadata = {
            "title": Path(file).stem, "artist": "", "release": "", "duration": seconds, "identifiers": {"file": file},
            "jams_version": VERSION,
        }  # fmt: skip
        return to_json({"annotations": [annotation], "file_metadata": metadata, "sandbox": {}})

    def recognises(self, source: Source) -> bool:
        """Recognise annotations with a namespace; see `AnnotationFormat.recognises`."""
        return _annotations(source.json) is not None

    def parse(self, source: Source) -> Annotations:
        """Read all intervals with labels; see `AnnotationFormat.parse`."""
        source.check_json()
        if (annotations := _annotations(source.json)) is None:
            raise DataError(f"{source.path}: not JAMS: no list `annotations` with a `namespace` each")
        events: list[Event] = []
        num_read, num_backgrounds, has_scores, others = 0, 0, False, set()
        for annotation in annotations:
            if (namespace := annotation["namespace"]) not in NAMESPACES:
                others.add(namespace)
                continue
            num_read += 1
            for number, row in enumerate(_rows(annotation, source.path), 1):
                value = row.get("value")
                if isinstance(value, dict):  # scaper
                    if value.get("role") == "background":
                        num_backgrounds += 1
                        continue
                    value = value.get("label")
                score = row.get("confidence") if namespace == "segment_open" else None  # tags weigh, mixtures are true
                has_scores |= score is not None
                place = f"{source.path}: {namespace}, row {number}"
                events.append(_event(place, row, value, score, is_soft=source.is_soft))
        if others and len(others) == len({annotation["namespace"] for annotation in annotations}):
            raise DataError(f"{source.path}: namespaces {', '.join(sorted(others))}; read are {', '.join(NAMESPACES)}")
        notes = [f"namespace {name}: left out" for name in sorted(others)]
        notes += [f"{num_backgrounds:,} backgrounds of a mixture: left out"] if num_backgrounds else []
        if num_read > 1:  # of several people or programs
            num_found, events = len(events), list(dict.fromkeys(events))
            notes += [f"{num_read} annotations are taken together; equal events left out: {num_found - len(events):,}"]
        name, duration_s = _recording(source)
        durations_s = {} if duration_s is None else {name: duration_s}
        return Annotations({name: events}, durations_s, has_scores, tuple(f"{source.path}: {note}" for note in notes))

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        return None

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        return start.startswith("{") and f'"annotation_tools": "{TOOL}"' in start


def _annotations(content: Any) -> list[Any] | None:
    """The annotations of JAMS; None if it is other JSON."""
    found = content.get("annotations") if isinstance(content, dict) else None
    is_jams = isinstance(found, list) and all(
        isinstance(each, dict) and isinstance(each.get("namespace"), str) for each in found
    )
    return found if is_jams and ("file_metadata" in content or found) else None


def _rows(annotation: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    """The rows of an annotation, of version 0.2 by column."""
    data = annotation.get("data")
    if isinstance(data, dict) and all(isinstance(column, list) for column in data.values()):
        data = [dict(zip(data, row, strict=False)) for row in zip(*data.values(), strict=False)]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{path}: {annotation['namespace']}: data is no list of rows with time, duration and value")
    return data


def _event(place: str, row: Mapping[str, Any], label: Any, score: Any, *, is_soft: bool) -> Event:
    try:
        if isinstance(row["duration"], bool):
            raise TypeError("a truth value")
        offset = round(row["time"] + row["duration"], 6)  # two roundings may have moved it by a float's last digit
    except (KeyError, TypeError):
        raise not_seconds(place, {key: row.get(key) for key in ("time", "duration")}) from None
    return make_event(place, row["time"], offset, label, score, score_name="confidence", is_soft=is_soft)


def _recording(source: Source) -> tuple[str, float | None]:
    """Name and length of the recording, where the file says them."""
    metadata = source.json.get("file_metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    identifiers, duration_s = metadata.get("identifiers"), metadata.get("duration")
    name = identifiers.get("file") if isinstance(identifiers, dict) else None
    name = canonical_path(name) if isinstance(name, str) and name else source.recording
    return name, known_length(duration_s)
