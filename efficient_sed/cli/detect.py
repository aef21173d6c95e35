"""`efficient-sed detect`: its options, and where its results go."""

from __future__ import annotations

import argparse
import contextlib
import functools
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.cli.detect_results import plot_found, report_found, write_all, write_own
from efficient_sed.cli.detect_targets import (
    SCORES,
    TABLE,
    check_targets,
    formats_of_one_recording,
    output_files,
    results_folder,
    text_format_of,
)
from efficient_sed.cli.detect_uncertain import check_output, check_uncertain, write_uncertain
from efficient_sed.cli.options import add_detector, add_truth_format, chosen_model, typed_path
from efficient_sed.cli.parser import Commands
from efficient_sed.errors import ConfigError, PreemptedError
from efficient_sed.postprocessing.thresholds import AUTO
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event
    from efficient_sed.inference.detect_one import Found
    from efficient_sed.inference.detect_options import DetectOptions
    from efficient_sed.inference.recordings import Recording

EXIT_UNREADABLE = 2


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "detect",
        run,
        "Find sound events in recordings of any length.",
        examples=(
            "detect street.wav --threshold 0.3 --report street.html --truth annotations.tsv",
            "detect recordings --model fmn04_strong --format audacity --output labels --jobs 2",
        ),
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=typed_path,
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
        help=f"{', '.join(formats_of_one_recording())} and {SCORES} (scores of every frame) "
        "write a file for each recording",
    )
    parser.add_argument(
        "--output",
        type=typed_path,
        help="file to write instead of the terminal; for a file for each recording a folder",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace what is there; without it, a folder of results is only completed",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread that share the recordings")
    parser.add_argument(
        "--uncertain",
        type=int,
        metavar="N",
        help="list the N excerpts that the model is least sure of, to be labelled: those whose highest score is "
        "nearest to the threshold of its class, a few of each recording, apart from each other",
    )
    parser.add_argument(
        "--clips",
        type=typed_path,
        metavar="DIR",
        help="write the sound of each of these excerpts, with 2 s on both sides; --output is then about these files",
    )
    parser.add_argument("--plot", type=typed_path, metavar="PNG", help="draw spectrogram and events of one file")
    parser.add_argument(
        "--report",
        type=typed_path,
        metavar="HTML",
        help="page about one file: its sound, spectrogram, scores, and events at any threshold",
    )
    parser.add_argument(
        "--truth",
        type=typed_path,
        metavar="PATH",
        help="annotations in any format, drawn on that page beside the detected events",
    )
    add_truth_format(parser)


def run(options: argparse.Namespace) -> int:
    """Detect events in all recordings; those that cannot be read are named, and the others kept."""
    from efficient_sed.inference.detect_options import DetectOptions

    check_uncertain(options)
    _check_pairs(options)
    if options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs} is not allowed: 1 or more processes")
    detect_options = DetectOptions(
        options.threshold, options.median, options.hop, options.channel, options.postprocessing
    )
    with contextlib.ExitStack() as stack:
        recordings, unreadable = _recordings(options.files, stack)
        for message in unreadable:
            print(f"efficient-sed: {message}", file=sys.stderr)
        if not recordings:
            return EXIT_UNREADABLE
        folder = _places(options, recordings)
        truth = _truth(options, recordings[0])
        options.model = chosen_model(options.model)
        finished = _finished(recordings, options, detect_options, folder)
        if options.plot or options.report:
            waiting = recordings  # the one that is drawn
        else:
            waiting = [recording for recording in recordings if recording not in finished]
        found = _detect(waiting, options, detect_options, folder, finished) if waiting else []
        whole = [each for each in found if each.error is None]
        if options.uncertain:
            write_uncertain(whole, options)
        if options.plot and whole:
            plot_found(whole[0], options)
        if options.report and whole:
            report_found(whole[0], options, truth)
    damaged = [each.error for each in found if each.error is not None]
    for message in damaged:
        print(f"efficient-sed: {message}", file=sys.stderr)
    if folder is not None:
        num_written = sum(each.error is None and each.recording not in finished for each in found)
        kept = f"; {len(finished)} were finished before (--overwrite makes them anew)" if finished else ""
        print(f"wrote {num_written} files into {folder}{kept}", file=sys.stderr)
    return EXIT_UNREADABLE if unreadable or damaged else 0


def _check_pairs(options: argparse.Namespace) -> None:
    """Raise a ConfigError for an option without the one that it belongs to."""
    if options.overwrite and not (options.output or options.plot or options.report or options.clips):
        raise ConfigError("--overwrite belongs to --output, --plot, --report or --clips")
    for option, needed in (("truth", "report"), ("truth_format", "truth")):
        if getattr(options, option) and not getattr(options, needed):
            raise ConfigError(f"--{option.replace('_', '-')} belongs to --{needed}")


def _places(options: argparse.Namespace, recordings: list[Recording]) -> Path | None:
    """The folder of a file for each recording, if there is one; errors if a result cannot be written anywhere."""
    from efficient_sed.inference.recordings import check_outputs

    if options.uncertain:
        check_outputs(recordings)
        check_output(options, recordings)
        return None
    folder = results_folder(options, recordings)
    if folder is not None:
        check_outputs(recordings)
    check_targets(options, recordings, folder)
    return folder


def _recordings(files: list[Path], stack: contextlib.ExitStack) -> tuple[list[Recording], list[str]]:
    """The recordings that were named, and messages about files in folders that cannot be read."""
    from efficient_sed.inference.recordings import STDIN, find_recordings, spooled_stdin

    if Path(STDIN) not in files:
        return find_recordings(files)
    if len(files) > 1:
        raise ConfigError(f"- stands for one recording on the standard input; got {len(files)} files")
    return [stack.enter_context(spooled_stdin())], []


def _check_model(options: argparse.Namespace) -> None:
    """Raise an error now, before results are begun, if the model is neither a file nor a released detector."""
    from efficient_sed.inference.detect import open_detector
    from efficient_sed.models.weights.cards import list_cards

    card = list_cards().get(options.model)
    if not Path(options.model).is_file() and (card is None or card.task != "detection"):
        open_detector(options.model)


def _finished(
    recordings: list[Recording], options: argparse.Namespace, detect_options: DetectOptions, folder: Path | None
) -> set[Recording]:  # fmt: skip
    """Recordings that have a result in the folder, made with the same model and options."""
    from efficient_sed.inference.results_folder import identify_model, start_results

    if folder is None:
        return set()
    _check_model(options)
    settings = {"model": identify_model(options.model)}
    settings |= {key: getattr(detect_options, key) for key in ("threshold", "median_frames", "hop_s", "channel")}
    if options.format == SCORES:  # scores know no threshold
        del settings["threshold"]
    if options.postprocessing != AUTO:
        settings["postprocessing"] = identify_model(options.postprocessing)
    outputs = output_files(options, recordings, folder)
    finished = start_results(outputs, folder, options.format, settings, overwrite=options.overwrite)
    return {outputs[path] for path in finished}


def _detect(
    recordings: list[Recording],
    options: argparse.Namespace,
    detect_options: DetectOptions,
    folder: Path | None,
    finished: set[Recording],
) -> list[Found]:
    """Results in the order of the recordings; what is finished is written even after Ctrl-C."""
    from efficient_sed.data.annotations.contract import check_labels
    from efficient_sed.export.engine_file import choose_file
    from efficient_sed.inference.detect_files import detect_files
    from efficient_sed.inference.detect_one import Task
    from efficient_sed.machine.progress import progress

    model, engine = choose_file(options.model, options.engine, sum(recording.duration_s for recording in recordings))
    if model != options.model:
        print(f"efficient-sed: {engine} computes the scores", file=sys.stderr)
    text_format = text_format_of(options)
    check = functools.partial(check_labels, format_name=text_format) if text_format else None
    found: list[Found] = []
    try:
        total_s = sum(recording.duration_s for recording in recordings)
        scores_folder = folder if options.format == SCORES and not finished.issuperset(recordings) else None
        task = Task(detect_options, scores_folder, has_scores=bool(options.report), has_doubts=bool(options.uncertain))
        with _stopped_by_sigterm(), progress("seconds of audio", total_s, is_drawn=sys.stderr.isatty()) as advance:
            for each in detect_files(
                recordings,
                model,
                task,
                engine=engine,
                jobs=options.jobs,
                progress=advance,
                check_labels=check,
            ):
                found.append(each)
                if folder is not None and each.error is None and each.recording not in finished:
                    write_own(each, options.format, folder)
    finally:
        places = {recording.name: index for index, recording in enumerate(recordings)}
        found.sort(key=lambda each: places[each.recording.name])
        whole = [each for each in found if each.error is None]
        if folder is None and whole and not options.uncertain:
            write_all(whole, options, is_partial=len(found) < len(recordings))
    note = whole[0].rule.note if whole else ""
    if note and (options.format != SCORES or options.report):  # scores know no threshold
        print(f"efficient-sed: {note}", file=sys.stderr)
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


def _truth(options: argparse.Namespace, recording: Recording) -> tuple[Event, ...] | None:
    """True events of the recording that the page is about."""
    from efficient_sed.data.annotations.truth import read_truth

    if options.truth is None:
        return None
    return read_truth(options.truth, recording.name, recording.duration_s, options.truth_format)
