"""Where the results of `efficient-sed detect` go, checked before anything is detected."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.errors import ConfigError
from efficient_sed.inference.engines.contract import is_exported
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.inference.recordings import Recording

TABLE, SCORES = "table", "npz"
"""Formats beside those of annotations: a table on the terminal, and scores of every frame."""


def formats_of_one_recording() -> list[str]:
    """Formats of annotations that hold one recording."""
    return [name for name in ANNOTATION_FORMATS.names() if not ANNOTATION_FORMATS.get(name).holds_many]


def is_of_one_recording(format_name: str) -> bool:
    """Whether each recording has a file of its own."""
    return format_name in (SCORES, *formats_of_one_recording())


def results_folder(options: argparse.Namespace, recordings: list[Recording]) -> Path | None:
    """Where a file for each recording goes; None if there is one text for all.

    Raises:
        ConfigError: If the options do not go together.
    """
    output: Path | None = options.output
    num_given = max(len(options.files), len(recordings))
    for option, value, verb in (("--plot", options.plot, "draws"), ("--report", options.report, "is about")):
        if value and num_given > 1:
            raise ConfigError(f"{option} {verb} one file, got {num_given}; give them one at a time")
    if options.plot:
        _check_plot(options)
    if options.report:
        _check_report(options, recordings)
    is_folder_meant = num_given > 1 or options.format == SCORES or any(path.is_dir() for path in options.files)
    if is_of_one_recording(options.format) and is_folder_meant:
        if output is None:
            raise ConfigError(
                f"--format {options.format} writes a file for each recording, got {num_given}; "
                "give a folder as --output DIR"
            )
        if output.exists() and not output.is_dir():
            raise ConfigError(
                f"--output {output}: --format {options.format} writes a file for each recording into a folder, "
                "and this is none"
            )
        return output
    if (
        is_of_one_recording(options.format)
        and output is not None
        and (output.is_dir() or not (output.suffix or output.exists()))
    ):
        return output
    if output is not None and output.is_dir():
        raise ConfigError(
            f"--output {output}: a folder; --format {options.format} writes one file, "
            f"such as --output {output / 'events'}.{options.format}"
        )
    return None


def _check_plot(options: argparse.Namespace) -> None:
    """Raise a ConfigError now, not after the detection, if there can be no picture."""
    if options.plot.suffix.lower() != ".png":
        raise ConfigError(f"--plot {options.plot} is not allowed: a file that ends in .png")
    if options.model is not None and is_exported(options.model):
        raise ConfigError(
            f"--plot needs the spectrogram, which {options.model} does not give; "
            "give the model that it was exported from"
        )


def _check_report(options: argparse.Namespace, recordings: list[Recording]) -> None:
    """The same for the page."""
    from efficient_sed.inference.report import check_report

    for recording in recordings:
        check_report(options.report, recording.duration_s)


def check_targets(options: argparse.Namespace, recordings: list[Recording], folder: Path | None) -> None:
    """Check before the detection that every result can be written and destroys nothing.

    Results replace only files of their kind, unless `--overwrite` is given: annotations, pictures and pages of the same
    name stay. Nothing replaces one of the recordings.

    Raises:
        ConfigError: If a result cannot be written, or would destroy something.
    """
    from efficient_sed.data.annotations.contract import check_names, find_format
    from efficient_sed.data.spelling import check_spellings
    from efficient_sed.files.atomic import check_replaceable, check_writable, names_program

    names = [recording.name for recording in recordings]
    if (text_format := text_format_of(options)) is None:
        check_spellings(names)
    else:
        check_names(names, text_format)
    if folder is not None:
        targets = [("--output", path) for path in output_files(options, recordings, folder)]
    else:
        targets = [("--output", options.output)]
    inputs = {recording.path.resolve() for recording in recordings}
    for option, path in [*targets, ("--plot", options.plot), ("--report", options.report)]:
        if path is None:
            continue
        if path.resolve() in inputs:
            raise ConfigError(f"{option} {path}: is one of the recordings, and would be lost; give another name")
        try:
            if options.overwrite or (option == "--output" and (folder is not None or text_format is None)):
                check_writable(path)
            elif option == "--output":
                check_replaceable(path, find_format(str(text_format)).is_detections)
            else:
                check_replaceable(path, names_program)
        except OSError as error:
            raise ConfigError(f"{option} {path}: cannot be written ({error.strerror})") from error


def output_files(options: argparse.Namespace, recordings: list[Recording], folder: Path) -> dict[Path, Recording]:
    """Recording of each file of results in a folder."""
    from efficient_sed.inference.detect_one import SCORES_SUFFIX

    ending = SCORES_SUFFIX if options.format == SCORES else ANNOTATION_FORMATS.get(options.format).ending
    return {folder / f"{recording.output}{ending}": recording for recording in recordings}


def text_format_of(options: argparse.Namespace) -> str | None:
    """Annotation format that is written, None for scores and for a table on the terminal; a file gets that as tsv."""
    if options.format == TABLE:
        return None if options.output is None else "tsv"
    return None if options.format == SCORES else str(options.format)
