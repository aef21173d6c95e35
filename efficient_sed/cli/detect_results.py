"""Results of `efficient-sed detect` written, or printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.cli.detect_targets import SCORES, text_format_of
from efficient_sed.cli.terminal import print_table, print_text
from efficient_sed.errors import ConfigError
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event
    from efficient_sed.inference.detect_one import Found


def write_own(found: Found, output_format: str, folder: Path) -> None:
    """Write a recording's own file of results."""
    if output_format != SCORES:  # which are written while they are made
        ending = ANNOTATION_FORMATS.get(output_format).ending
        _write(folder / f"{found.recording.output}{ending}", _text([found], output_format))


def write_all(found: list[Found], options: argparse.Namespace, *, is_partial: bool) -> None:
    """One text for all recordings, or a table on the terminal; a partial text replaces no earlier one."""
    text_format = text_format_of(options)
    if text_format is None:
        from efficient_sed.cli.event_tables import events_table

        print_table(events_table(_events(found)))
    elif options.output is not None:
        output: Path = options.output
        if is_partial and output.is_file() and output.stat().st_size:
            output = output.with_name(f"{output.stem}.partial{output.suffix}")
        _write(output, _text(found, text_format))
        if is_partial:
            print(f"efficient-sed: stopped early: {output} holds {len(found)} recordings", file=sys.stderr)
    else:
        print_text(_text(found, text_format))


def _text(found: list[Found], output_format: str) -> str:
    from efficient_sed.data.annotations.contract import format_events

    return format_events(
        _events(found), output_format, {each.recording.name: each.recording.duration_s for each in found}
    )


def _events(found: list[Found]) -> dict[str, list[Event]]:
    return {each.recording.name: each.events for each in found}


def _write(path: Path, text: str) -> None:
    from efficient_sed.files.atomic import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError(f"--output {path}: cannot be written ({error.strerror})") from error


def plot_found(found: Found, options: argparse.Namespace) -> None:
    """Draw what `--plot` asks for."""
    from efficient_sed.inference.plot import plot_detections
    from efficient_sed.inference.torch_detector import ready_model

    plot_detections(
        found.recording.path, ready_model(options.model), found.events, options.plot, channel=options.channel
    )


def report_found(found: Found, options: argparse.Namespace, truth: Sequence[Event] | None) -> None:
    """Write the page that `--report` asks for."""
    from efficient_sed.inference.report import write_report

    recording, scores, levels = found.recording, found.scores, found.rule.thresholds
    if scores is not None:
        threshold = levels[0] if len(set(levels)) == 1 else dict(zip(scores.classes, levels, strict=True))
        write_report(
            options.report, recording.path, *scores, threshold,
            name=recording.name, duration_s=recording.duration_s, model=options.model, channel=options.channel,
            truth=truth,
        )  # fmt: skip
