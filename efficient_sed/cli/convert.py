"""`data convert`: annotation files read in one format and written in another."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.cli.outputs import check_outputs, write_output
from efficient_sed.errors import ConfigError
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.annotations.contract import Annotations

logger = logging.getLogger(__name__)
ROLES = ("onset", "offset", "label", "filename")


def convert_command(options: argparse.Namespace) -> None:
    """`data convert IN OUT`: prints what was read and written; the log says what was left out.

    Raises:
        ConfigError: If the options do not go together, the format cannot hold a name or label, or a file is there.
        DataError: If what is read makes no sense.
    """
    from efficient_sed.data.annotations.contract import find_format
    from efficient_sed.data.annotations.reading import read_annotations

    if len(options.words) != 2:
        raise ConfigError(f"data convert takes what to read and what to write, got {' '.join(options.words) or 'none'}")
    source, target = map(Path, options.words)
    format_name = options.to_format or _format_by_ending(target)
    found = read_annotations(source, options.from_format, _columns(options.column or ()))
    if options.audio is not None:
        found = _with_audio(found, options.audio, source)
    texts = _texts(found, target, format_name, source)
    check_outputs(texts, [source], is_overwritten=options.overwrite)
    labels = {event.label for events in found.events.values() for event in events}
    num_events = sum(map(len, found.events.values()))
    print(f"{source}: {len(found.events):,} recordings, {num_events:,} events of {len(labels):,} classes")
    lengths = found.durations_s if options.audio is None else {}  # those of the audio can be read again
    losses = find_format(format_name).losses(dataclasses.replace(found, durations_s=lengths))
    for lost in [*losses, *_lost_name(found, texts.get(target), target, format_name)]:
        logger.warning("%s: not held by %s, left out: %s", target, format_name, lost)
    for path, text in texts.items():
        write_output(path, text.encode())
    count = f"{len(texts):,} files, " if len(texts) > 1 or target not in texts else ""
    print(f"{target}: {count}{format_name}")


def _lost_name(found: Annotations, text: str | None, target: Path, format_name: str) -> list[str]:
    """What a single file of a format for one recording, read again, does not say of its name."""
    from efficient_sed.data.annotations.audio_names import without_ending
    from efficient_sed.data.annotations.contract import Source, find_format
    from efficient_sed.data.annotations.reading import recording_of

    chosen = find_format(format_name)
    if text is None or chosen.holds_many:
        return []
    (name,) = found.events
    (again,) = chosen.parse(Source(target, text, recording_of(target))).events
    return [f"the name {name}, read again as {again}"] if without_ending(name) != without_ending(again) else []


def _format_by_ending(target: Path) -> str:
    fitting = [
        name
        for name in ANNOTATION_FORMATS.names()
        if target.name.lower().endswith(ANNOTATION_FORMATS.get(name).ending.lower())
    ]
    if not fitting:
        raise ConfigError(
            f"{target}: its ending names no format, give one as --to: {', '.join(ANNOTATION_FORMATS.names())}"
        )
    return max(fitting, key=lambda name: len(ANNOTATION_FORMATS.get(name).ending))


def _columns(typed: Sequence[str]) -> dict[str, str]:
    columns = {role: column for role, _, column in (each.partition("=") for each in typed)}
    for role, column in columns.items():
        if role not in ROLES or not column:
            word = f"{role}={column}" if column else role
            raise ConfigError(f"--column {word} is not allowed: {', '.join(f'{role}=NAME' for role in ROLES)}")
    return columns


def _with_audio(found: Annotations, folder: Path, source: Path) -> Annotations:
    """Annotations under the names of audio files, with the lengths of these.

    Raises:
        ConfigError: If the folder is none.
        DataError: If a recording has no file there, or several.
    """
    from efficient_sed.audio.io import audio_info
    from efficient_sed.data.annotations.audio_names import named_as_audio
    from efficient_sed.data.annotations.contract import Annotations

    if not folder.is_dir():
        raise ConfigError(f"--audio {folder}: no such directory")
    named = named_as_audio(found.events, folder, source if source.is_dir() else None)
    durations_s = {name: audio_info(folder / name).duration_s for name in named}
    for name, events in named.items():
        end = max((event.offset_s for event in events), default=0.0)
        if end > durations_s[name]:
            words = "%s: an event ends at %g s, behind the recording's end at %g s"
            logger.warning(words, name, end, durations_s[name])
    return Annotations(named, durations_s, found.has_scores, found.notes)


def _texts(found: Annotations, target: Path, format_name: str, source: Path) -> dict[Path, str]:
    """The text of each file that is written."""
    from efficient_sed.data.annotations.audio_names import without_ending
    from efficient_sed.data.annotations.contract import Annotations, find_format, format_annotations
    from efficient_sed.data.spelling import is_below

    chosen = find_format(format_name)
    is_folder = target.is_dir() or not target.suffix
    if not is_folder and not chosen.holds_many and len(found.events) != 1:
        raise ConfigError(
            f"{target}: {format_name} holds one recording a file, and {source} has {len(found.events):,}; give a folder"
        )
    if not is_folder:
        return {target: format_annotations(found, format_name)}
    texts: dict[Path, str] = {}
    owners: dict[Path, str] = {}
    for name, events in found.events.items():
        if not events and not chosen.holds_empty:
            continue
        if not is_below(name):
            raise ConfigError(
                f"{source}: recording {name!r} would be written outside {target}; give a file, not a folder"
            )
        path = target / f"{without_ending(name)}{chosen.ending}"
        if (other := owners.setdefault(path, name)) != name:
            raise ConfigError(f"{path}: is the file of both {other!r} and {name!r}; give a file, not a folder")
        texts[path] = format_annotations(Annotations({name: events}, found.durations_s, found.has_scores), format_name)
    return texts
