"""`efficient-sed detect`: its options, and where its results go."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed._terminal import print_table, print_text
from efficient_sed.errors import ConfigError
from efficient_sed.export.engines import DEFAULT_ENGINE, ENGINES, EXPORTED_SUFFIX

if TYPE_CHECKING:
    from efficient_sed.data.events import Event
    from efficient_sed.evaluation.detect import DetectOptions
    from efficient_sed.evaluation.detect_files import Found, Recording

FORMATS = ("table", "tsv", "json", "rttm", "audacity", "jams", "npz")
OF_ONE_RECORDING = ("audacity", "jams", "npz")
EXIT_UNREADABLE = 2


def add_detect(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.set_defaults(option_of={"threshold": "--threshold", "median_frames": "--median", "hop_s": "--hop", "report": "--report"})
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="recordings, folders of recordings, or - for one on the standard input")
    command.add_argument("--model", help="released name, checkpoint file or exported model (default: the detector shipped with the package)")
    command.add_argument("--threshold", type=float, default=0.5, help="score from which a frame is active")
    command.add_argument("--median", type=int, metavar="FRAMES", help="window of the median filter on scores; default: the model's own")
    command.add_argument("--hop", type=float, metavar="SECONDS", help="from one window of a long file to the next; default: four fifths of a window")
    command.add_argument("--format", choices=FORMATS, default="table", help="audacity, jams and npz (scores of every frame) write a file for each recording")
    command.add_argument("--output", type=Path, help="file to write instead of the terminal; for a file for each recording a folder")
    command.add_argument("--engine", help=f"what runs an exported model: {', '.join(ENGINES)} (default: {DEFAULT_ENGINE})")
    command.add_argument("--jobs", type=int, default=1, help="processes of one thread that share the recordings")
    command.add_argument("--plot", type=Path, metavar="PNG", help="draw spectrogram and events of one file")
    command.add_argument("--report", type=Path, metavar="HTML", help="page about one file: its sound, spectrogram, scores, and events at any threshold")


def run_detect(options: argparse.Namespace) -> int:
    """Listen to all recordings; those that cannot be read to their end are named and the others kept."""
    from efficient_sed.evaluation.detect import DetectOptions
    from efficient_sed.evaluation.detect_files import check_outputs

    if options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs} is not allowed: 1 or more processes")
    how = DetectOptions(options.threshold, options.median, options.hop)
    with contextlib.ExitStack() as stack:
        recordings, unreadable = _recordings(options.files, stack)
        for message in unreadable:
            print(f"efficient-sed: {message}", file=sys.stderr)
        if not recordings:
            return EXIT_UNREADABLE
        folder = _folder(options, recordings)
        if folder is not None:
            check_outputs(recordings)
        _check_targets(options, recordings, folder)
        if options.model is None:
            from efficient_sed.models._cards import DEFAULT_DETECTOR, list_cards

            print(f"efficient-sed: no --model given, using {DEFAULT_DETECTOR}: {list_cards()[DEFAULT_DETECTOR].summary}", file=sys.stderr)
            options.model = DEFAULT_DETECTOR
        found = _listen(recordings, options, how, folder)
        if options.plot and found[0].error is None:
            _plot(found[0], options)
        if options.report and found[0].error is None:
            _report(found[0], options)
    damaged = [each.error for each in found if each.error is not None]
    for message in damaged:
        print(f"efficient-sed: {message}", file=sys.stderr)
    if folder is not None:
        print(f"wrote {sum(each.error is None for each in found)} files into {folder}", file=sys.stderr)
    return EXIT_UNREADABLE if unreadable or damaged else 0


def _recordings(files: list[Path], stack: contextlib.ExitStack) -> tuple[list[Recording], list[str]]:
    """What to listen to, and messages about what in folders cannot be read."""
    from efficient_sed.evaluation.detect_files import STDIN, find_recordings, spooled_stdin

    if Path(STDIN) not in files:
        return find_recordings(files)
    if len(files) > 1:
        raise ConfigError(f"- stands for one recording on the standard input; got {len(files)} files")
    return [stack.enter_context(spooled_stdin())], []


def _check_targets(options: argparse.Namespace, recordings: list[Recording], folder: Path | None) -> None:
    """Raise a ConfigError now, not after everything was heard, if a file cannot be written, is one of the recordings, or is of another kind than what will replace it."""
    from efficient_sed._files import PNG_START, check_writable
    from efficient_sed._page import PAGE_START
    from efficient_sed.evaluation.event_files import STARTS
    from efficient_sed.evaluation.score_files import SCORES_START

    heard = {recording.path.resolve() for recording in recordings}
    start = SCORES_START if options.format == "npz" else re.compile(STARTS[_text_format(options)].encode())
    targets = [("--output", path, start) for path in _outputs(options, recordings, folder)]
    targets += [(option, path, start) for option, path, start in (("--plot", options.plot, PNG_START), ("--report", options.report, PAGE_START)) if path is not None]
    for option, path, own_start in targets:
        if path.resolve() in heard:
            raise ConfigError(f"{option} {path}: is one of the recordings, and would be lost; give another name")
        try:
            check_writable(path, own_start)
        except OSError as error:
            raise ConfigError(f"{option} {path}: cannot be written ({error.strerror})") from error


def _outputs(options: argparse.Namespace, recordings: list[Recording], folder: Path | None) -> list[Path]:
    """What `--output` stands for."""
    from efficient_sed.evaluation.detect_files import SCORES_SUFFIX
    from efficient_sed.evaluation.event_files import RECORDING_FORMATS

    if folder is None:
        return [] if options.output is None else [options.output]
    ending = RECORDING_FORMATS.get(options.format, SCORES_SUFFIX)
    return [folder / f"{recording.output}{ending}" for recording in recordings]


def _text_format(options: argparse.Namespace) -> str:
    """A table is for the terminal; a file gets the same as tab-separated values."""
    return "tsv" if options.format == "table" else str(options.format)


def _listen(recordings: list[Recording], options: argparse.Namespace, how: DetectOptions, folder: Path | None) -> list[Found]:
    """Results in the order of the recordings. What is finished is written even if somebody presses Ctrl-C."""
    from efficient_sed._progress import progress
    from efficient_sed.evaluation.detect_files import detect_files

    found: list[Found] = []
    try:
        with progress("seconds of audio", sum(recording.duration_s for recording in recordings), is_drawn=sys.stderr.isatty()) as heard:
            scores_folder = folder if options.format == "npz" else None
            for each in detect_files(
                recordings, options.model, how, engine=options.engine, jobs=options.jobs, scores_folder=scores_folder, has_scores=bool(options.report), heard=heard
            ):
                found.append(each)
                if folder is not None and each.error is None:
                    _write_own(each, options.format, folder)
    finally:
        places = {recording.name: index for index, recording in enumerate(recordings)}
        found.sort(key=lambda each: places[each.recording.name])
        heard_whole = [each for each in found if each.error is None]
        if folder is None and heard_whole:
            _write_all(heard_whole, options)
    return found


def _folder(options: argparse.Namespace, recordings: list[Recording]) -> Path | None:
    """Where a file for each recording goes; none if there is one text for all.

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
    is_folder_meant = num_given > 1 or options.format == "npz" or any(path.is_dir() for path in options.files)
    if options.format in OF_ONE_RECORDING and is_folder_meant:
        if output is None:
            raise ConfigError(f"--format {options.format} writes a file for each recording, got {num_given}; give a folder as --output DIR")
        if output.exists() and not output.is_dir():
            raise ConfigError(f"--output {output}: --format {options.format} writes a file for each recording into a folder, and this is none")
        return output
    if options.format in OF_ONE_RECORDING and output is not None and (output.is_dir() or not (output.suffix or output.exists())):
        return output
    if output is not None and output.is_dir():
        raise ConfigError(f"--output {output}: a folder; --format {options.format} writes one file, such as --output {output / 'events'}.{options.format}")
    return None


def _check_plot(options: argparse.Namespace) -> None:
    """Raise a ConfigError now, not after everything was heard, if there can be no picture."""
    if options.plot.suffix.lower() != ".png":
        raise ConfigError(f"--plot {options.plot} is not allowed: a file that ends in .png")
    if str(options.model).endswith(EXPORTED_SUFFIX):
        raise ConfigError(f"--plot needs the spectrogram, which {options.model} keeps to itself; give the model that it was exported from")


def _check_report(options: argparse.Namespace, recordings: list[Recording]) -> None:
    """The same for the page."""
    from efficient_sed.evaluation.report import check_report

    for recording in recordings:
        check_report(options.report, recording.duration_s)


def _write_own(found: Found, output_format: str, folder: Path) -> None:
    from efficient_sed.evaluation.event_files import RECORDING_FORMATS

    if output_format in RECORDING_FORMATS:
        _write(folder / f"{found.recording.output}{RECORDING_FORMATS[output_format]}", _text([found], output_format))


def _write_all(found: list[Found], options: argparse.Namespace) -> None:
    """One text for all recordings, or a table on the terminal."""
    if options.output is not None:
        _write(options.output, _text(found, _text_format(options)))
    elif options.format == "table":
        from efficient_sed.evaluation.event_files import events_table

        print_table(events_table(_events(found)))
    else:
        print_text(_text(found, options.format))


def _text(found: list[Found], output_format: str) -> str:
    from efficient_sed.evaluation.event_files import format_events

    return format_events(_events(found), output_format, {each.recording.name: each.recording.duration_s for each in found})


def _events(found: list[Found]) -> dict[str, list[Event]]:
    return {each.recording.name: each.events for each in found}


def _write(path: Path, text: str) -> None:
    from efficient_sed._files import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError(f"--output {path}: cannot be written ({error.strerror})") from error


def _plot(found: Found, options: argparse.Namespace) -> None:
    from efficient_sed.evaluation.detection_plot import plot_detections
    from efficient_sed.evaluation.torch_detector import ready_model

    plot_detections(found.recording.path, ready_model(options.model), found.events, options.plot)


def _report(found: Found, options: argparse.Namespace) -> None:
    from efficient_sed.evaluation.report import write_report

    recording, scores = found.recording, found.scores
    if scores is not None:
        write_report(options.report, recording.path, *scores, options.threshold, name=recording.name, duration_s=recording.duration_s, model=options.model)
