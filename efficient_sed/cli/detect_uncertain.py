"""`efficient-sed detect --uncertain N`: the excerpts that a model is least sure of, to be labelled by a person."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.cli.detect_targets import SCORES, is_of_one_recording, text_format_of
from efficient_sed.cli.outputs import check_outputs, write_output
from efficient_sed.cli.terminal import print_table, print_text
from efficient_sed.errors import ConfigError
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event
    from efficient_sed.inference.detect_one import Found
    from efficient_sed.inference.recordings import Recording
    from efficient_sed.inference.uncertain import Excerpt


def check_uncertain(options: argparse.Namespace) -> None:
    """Raise a ConfigError if `--uncertain` or `--clips` does not go with the other options."""
    if options.uncertain is None:
        if options.clips:
            raise ConfigError("--clips belongs to --uncertain N, whose excerpts it writes")
        return
    if options.uncertain < 1:
        raise ConfigError(f"--uncertain {options.uncertain} is not allowed: 1 or more excerpts")
    for option in ("plot", "report"):
        if getattr(options, option):
            raise ConfigError(f"--{option} and --uncertain: one is about all events of a recording; give one of them")
    if options.format == SCORES:
        raise ConfigError(f"--format {SCORES} writes scores of all frames, and --uncertain excerpts; give one of them")
    if options.clips and options.clips.exists() and not options.clips.is_dir():
        raise ConfigError(f"--clips {options.clips}: no folder, which the sound of each excerpt is written into")
    if is_of_one_recording(options.format) and options.output is None:
        raise ConfigError(f"--format {options.format} writes a file for each recording; give a folder as --output DIR")
    if is_of_one_recording(options.format) and options.output.exists() and not options.output.is_dir():
        raise ConfigError(f"--output {options.output}: --format {options.format} writes into a folder, this is none")
    if not is_of_one_recording(options.format) and options.output is not None and options.output.is_dir():
        raise ConfigError(f"--output {options.output}: a folder; --format {options.format} writes one file")


def check_output(options: argparse.Namespace, recordings: Sequence[Recording]) -> None:
    """Raise a ConfigError now, not after the detection, if the recordings' names or a single file do not do."""
    from efficient_sed.data.annotations.contract import check_names

    if (format_name := text_format_of(options)) is not None:
        check_names([recording.name for recording in recordings], format_name)
    is_file = options.output is not None and not is_of_one_recording(options.format)
    _check([options.output] if is_file else [], recordings, options)


def write_uncertain(found: Sequence[Found], options: argparse.Namespace) -> None:
    """Choose among what was found in all recordings, and print or write it.

    Raises:
        ConfigError: If a file cannot be written, or would replace one.
        DataError: If the sound of an excerpt cannot be read.
    """
    from efficient_sed.inference.uncertain import choose_excerpts

    excerpts, most = choose_excerpts(found, options.uncertain)
    texts = _texts(excerpts, options)
    clips = {} if options.clips is None else {options.clips / excerpt.clip: excerpt for excerpt in excerpts}
    _check([*(path for path in texts if path is not None), *clips], [each.recording for each in found], options)
    if text_format_of(options) is None:
        from efficient_sed.cli.event_tables import excerpts_table

        print_table(excerpts_table(excerpts, options.clips))
    for path, excerpt in clips.items():
        from efficient_sed.inference.uncertain import read_clip

        write_output(path, read_clip(excerpt, options.channel))
    for place, text in texts.items():
        if place is None:
            print_text(text)
        else:
            write_output(place, text.encode())
    if len(excerpts) < options.uncertain:
        few = f"{len(excerpts)} doubtful excerpts, fewer than {options.uncertain}"
        print(f"efficient-sed: {few}; a recording gives at most {most}", file=sys.stderr)


def _texts(excerpts: Sequence[Excerpt], options: argparse.Namespace) -> dict[Path | None, str]:
    """Text of each annotation file; that of None goes to the terminal."""
    from efficient_sed.data.annotations.contract import format_events

    if (format_name := text_format_of(options)) is None:
        return {}
    events: dict[str, list[Event]] = {}
    durations_s: dict[str, float] = {}
    outputs: dict[str, Path] = {}
    for excerpt in excerpts:
        recording, is_cut = excerpt.recording, options.clips is not None
        name = excerpt.clip.as_posix() if is_cut else recording.name
        own = excerpt.clip_events() if is_cut else [excerpt.doubt.event]
        events[name] = sorted([*events.get(name, []), *own])
        durations_s[name] = excerpt.end_s - excerpt.start_s if is_cut else recording.duration_s
        outputs[name] = excerpt.clip.with_suffix("") if is_cut else recording.output
    if not is_of_one_recording(format_name):
        return {options.output: format_events(events, format_name, durations_s)} if events else {}
    ending = ANNOTATION_FORMATS.get(format_name).ending
    return {
        options.output / f"{outputs[name]}{ending}": format_events({name: own}, format_name, durations_s)
        for name, own in events.items()
    }


def _check(paths: Sequence[Path], recordings: Sequence[Recording], options: argparse.Namespace) -> None:
    inputs = [recording.path for recording in recordings]
    check_outputs(paths, inputs, is_overwritten=options.overwrite, what=", perhaps corrected")
