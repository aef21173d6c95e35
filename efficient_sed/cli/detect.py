"""`efficient-sed detect`: its options, and where its results go."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.cli.options import add_detector, chosen_model
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table, print_text
from efficient_sed.errors import ConfigError, PreemptedError
from efficient_sed.inference.engines.contract import is_exported
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event
    from efficient_sed.inference.detect import DetectOptions
    from efficient_sed.inference.detect_one import Found
    from efficient_sed.inference.recordings import Recording

TABLE, SCORES = "table", "npz"
"""Formats beside those of annotations: a table on the terminal, and scores of every frame."""
EXIT_UNREADABLE = 2


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "detect",
        run,
        "Find sound events in recordings of any length.",
        examples=(
            "detect street.wav --model fmn10+tf-256_strong --threshold 0.3 --report street.html",
            "detect street.wav --model fmn10+tf-256_strong --report street.html --truth annotations.tsv",
            "detect recordings --model fmn04_strong --format audacity --output labels --jobs 2",
        ),
    )
    parser.set_defaults(
        option_of={
            "threshold": "--threshold",
            "median_frames": "--median",
            "hop_s": "--hop",
            "report": "--report",
            "channel": "--channel",
        }
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="recordings, folders of recordings, or - for one on the standard input",
    )
    add_detector(parser)
    parser.add_argument(
        "--hop",
        type=float,
        metavar="SECONDS",
        help="from one window of a long file to the next (default: four fifths of a window)",
    )
    parser.add_argument(
        "--channel", default="mix", help="of the files: mix (the mean of all), first, or a number from 1"
    )
    parser.add_argument(
        "--format",
        choices=(TABLE, *ANNOTATION_FORMATS.names(), SCORES),
        default=TABLE,
        help=f"{', '.join(_formats_of_one_recording())} and {SCORES} (scores of every frame) "
        "write a file for each recording",
    )
    parser.add_argument(
        "--output", type=Path, help="file to write instead of the terminal; for a file for each recording a folder"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace what is there; without it, a folder of results is only completed",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread that share the recordings")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw spectrogram and events of one file")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="HTML",
        help="page about one file: its sound, spectrogram, scores, and events at any threshold",
    )
    parser.add_argument(
        "--truth", type=Path, metavar="TSV", help="annotations, drawn on that page beside the detected events"
    )


def _formats_of_one_recording() -> list[str]:
    return [name for name in ANNOTATION_FORMATS.names() if not ANNOTATION_FORMATS.get(name).holds_many]


def _is_of_one_recording(format_name: str) -> bool:
    """Whether each recording has a file of its own."""
    return format_name in (SCORES, *_formats_of_one_recording())


def run(options: argparse.Namespace) -> int:
    """Detect events in all recordings; those that cannot be read are named, and the others kept."""
    from efficient_sed.inference.detect import DetectOptions
    from efficient_sed.inference.recordings import check_outputs

    if options.overwrite and not (options.output or options.plot or options.report):
        raise ConfigError("--overwrite belongs to --output, --plot or --report")
    if options.truth and not options.report:
        raise ConfigError("--truth belongs to --report")
    if options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs} is not allowed: 1 or more processes")
    detect_options = DetectOptions(options.threshold, options.median, options.hop, options.channel)
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
        truth = _truth(options, recordings[0])
        options.model = chosen_model(options.model)
        finished = _finished(recordings, options, detect_options, folder)
        if options.plot or options.report:
            waiting = recordings  # the one that is drawn
        else:
            waiting = [recording for recording in recordings if recording not in finished]
        found = _detect(waiting, options, detect_options, folder, finished) if waiting else []
        if options.plot and found[0].error is None:
            _plot(found[0], options)
        if options.report and found[0].error is None:
            _report(found[0], options, truth)
    damaged = [each.error for each in found if each.error is not None]
    for message in damaged:
        print(f"efficient-sed: {message}", file=sys.stderr)
    if folder is not None:
        num_written = sum(each.error is None and each.recording not in finished for each in found)
        kept = f"; {len(finished)} were finished before (--overwrite makes them anew)" if finished else ""
        print(f"wrote {num_written} files into {folder}{kept}", file=sys.stderr)
    return EXIT_UNREADABLE if unreadable or damaged else 0


def _recordings(files: list[Path], stack: contextlib.ExitStack) -> tuple[list[Recording], list[str]]:
    """The recordings that were named, and messages about files in folders that cannot be read."""
    from efficient_sed.inference.recordings import STDIN, find_recordings, spooled_stdin

    if Path(STDIN) not in files:
        return find_recordings(files)
    if len(files) > 1:
        raise ConfigError(f"- stands for one recording on the standard input; got {len(files)} files")
    return [stack.enter_context(spooled_stdin())], []


def _check_targets(options: argparse.Namespace, recordings: list[Recording], folder: Path | None) -> None:
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
    if (text_format := _text_format(options)) is None:
        check_spellings(names)
    else:
        check_names(names, text_format)
    if folder is not None:
        targets = [("--output", path) for path in _outputs(options, recordings, folder)]
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


def _check_model(options: argparse.Namespace) -> None:
    """Raise an error now, before results are begun, if the model is neither a file nor a released detector."""
    from efficient_sed.inference.detect import open_detector
    from efficient_sed.models.weights.cards import list_cards

    card = list_cards().get(options.model)
    if not Path(options.model).is_file() and (card is None or card.task != "detection"):
        open_detector(options.model, engine=options.engine)


def _outputs(options: argparse.Namespace, recordings: list[Recording], folder: Path) -> dict[Path, Recording]:
    """Recording of each file of results in a folder."""
    from efficient_sed.inference.detect_one import SCORES_SUFFIX

    ending = SCORES_SUFFIX if options.format == SCORES else ANNOTATION_FORMATS.get(options.format).ending
    return {folder / f"{recording.output}{ending}": recording for recording in recordings}


def _finished(
    recordings: list[Recording], options: argparse.Namespace, detect_options: DetectOptions, folder: Path | None
) -> set[Recording]:  # fmt: skip
    """Recordings that have a result in the folder, made with the same model and options."""
    from efficient_sed.inference.results_folder import identify_model, start_results

    if folder is None:
        return set()
    _check_model(options)
    settings = {"model": identify_model(options.model), **dataclasses.asdict(detect_options)}
    if options.format == SCORES:  # scores know no threshold
        del settings["threshold"]
    outputs = _outputs(options, recordings, folder)
    finished = start_results(outputs, folder, options.format, settings, overwrite=options.overwrite)
    return {outputs[path] for path in finished}


def _text_format(options: argparse.Namespace) -> str | None:
    """Annotation format that is written, None for scores and for a table on the terminal; a file gets that as tsv."""
    if options.format == TABLE:
        return None if options.output is None else "tsv"
    return None if options.format == SCORES else str(options.format)


def _detect(
    recordings: list[Recording],
    options: argparse.Namespace,
    detect_options: DetectOptions,
    folder: Path | None,
    finished: set[Recording],
) -> list[Found]:
    """Results in the order of the recordings; what is finished is written even after Ctrl-C."""
    from efficient_sed.data.annotations.contract import check_labels
    from efficient_sed.inference.detect_files import detect_files
    from efficient_sed.inference.detect_one import Task
    from efficient_sed.machine.progress import progress

    text_format = _text_format(options)
    check = functools.partial(check_labels, format_name=text_format) if text_format else None
    found: list[Found] = []
    try:
        total_s = sum(recording.duration_s for recording in recordings)
        scores_folder = folder if options.format == SCORES and not finished.issuperset(recordings) else None
        task = Task(detect_options, scores_folder, has_scores=bool(options.report))
        with _stopped_by_sigterm(), progress("seconds of audio", total_s, is_drawn=sys.stderr.isatty()) as advance:
            for each in detect_files(
                recordings,
                options.model,
                task,
                engine=options.engine,
                jobs=options.jobs,
                progress=advance,
                check_labels=check,
            ):
                found.append(each)
                if folder is not None and each.error is None and each.recording not in finished:
                    _write_own(each, options.format, folder)
    finally:
        places = {recording.name: index for index, recording in enumerate(recordings)}
        found.sort(key=lambda each: places[each.recording.name])
        whole = [each for each in found if each.error is None]
        if folder is None and whole:
            _write_all(whole, options, is_partial=len(found) < len(recordings))
    return found


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Stop as on Ctrl-C, with what is finished kept: clusters and `timeout` send it."""

    def stop(*_: object) -> None:
        raise PreemptedError("stopped by SIGTERM; what is finished is kept")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _folder(options: argparse.Namespace, recordings: list[Recording]) -> Path | None:
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
    if _is_of_one_recording(options.format) and is_folder_meant:
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
        _is_of_one_recording(options.format)
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


def _write_own(found: Found, output_format: str, folder: Path) -> None:
    if output_format != SCORES:  # which are written while they are made
        ending = ANNOTATION_FORMATS.get(output_format).ending
        _write(folder / f"{found.recording.output}{ending}", _text([found], output_format))


def _write_all(found: list[Found], options: argparse.Namespace, *, is_partial: bool) -> None:
    """One text for all recordings, or a table on the terminal; a partial text replaces no earlier one."""
    text_format = _text_format(options)
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


def _plot(found: Found, options: argparse.Namespace) -> None:
    from efficient_sed.inference.plot import plot_detections
    from efficient_sed.inference.torch_detector import ready_model

    plot_detections(
        found.recording.path, ready_model(options.model), found.events, options.plot, channel=options.channel
    )


def _truth(options: argparse.Namespace, recording: Recording) -> tuple[Event, ...] | None:
    """True events of the recording that the page is about."""
    from efficient_sed.data.annotations.truth import read_truth

    return None if options.truth is None else read_truth(options.truth, recording.name, recording.duration_s)


def _report(found: Found, options: argparse.Namespace, truth: tuple[Event, ...] | None) -> None:
    from efficient_sed.inference.report import write_report

    recording, scores = found.recording, found.scores
    if scores is not None:
        write_report(
            options.report, recording.path, *scores, options.threshold,
            name=recording.name, duration_s=recording.duration_s, model=options.model, channel=options.channel,
            truth=truth,
        )  # fmt: skip
