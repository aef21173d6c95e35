"""`efficient-sed plot`: the frontier between scores and costs, as pictures and a table."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efficient_sed.cli.options import typed_path
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError

if TYPE_CHECKING:
    from efficient_sed.frontier.points import Point

FILE_ENDING = re.compile(r"\.[a-z]{1,4}\d?", re.IGNORECASE)  # that of v1.2 is none
PICTURES = ("png", "svg")


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "plot",
        run,
        "Draw the performance-complexity frontier of finished runs, and print it as a table.",
        examples=("plot runs --output plots/frontier.png", "plot --published --output plots/published.png"),
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("runs", nargs="?", type=typed_path, default=Path("runs"), help="folder with finished runs")
    source.add_argument(
        "--published",
        action="store_true",
        help="draw published models alone, with their MACs as published and as we count them; needs no runs",
    )
    parser.add_argument(
        "--score", metavar="KEY", help="score to draw, such as event_f1_macro (default: the one that leads the table)"
    )
    parser.add_argument(
        "--cost",
        metavar="KEY[,KEY…]",
        help="costs to draw it against, such as energy_j_per_clip (default: params,macs,throughput_clips_s); "
        "the page has all",
    )
    parser.add_argument(
        "--output",
        type=typed_path,
        default=Path("plots/frontier.png"),
        help="PNG; an SVG, an interactive page (HTML) and, of runs, a CSV are written beside it",
    )
    parser.add_argument(
        "--device",
        nargs="+",
        type=typed_path,
        metavar="FILE",
        help="draw only what was measured there of exported runs, by: efficient-sed benchmark MODEL.onnx --json",
    )
    parser.add_argument(
        "--allow-mixed", action="store_true", help="draw results of different data or metric variants in one picture"
    )


def run(options: argparse.Namespace) -> int:
    """Draw finished runs or the published models."""
    if options.published:
        return _draw_published(options)
    from efficient_sed.frontier.runs import find_runs

    check_output("--output", options.output)
    report_runs(
        find_runs(options.runs),
        options.output,
        allow_mixed=options.allow_mixed,
        device_files=options.device or (),
        score=options.score,
        costs=None if options.cost is None else options.cost.split(","),
    )
    return 0


def _draw_published(options: argparse.Namespace) -> int:
    from efficient_sed.frontier.corrected_plot import draw_corrected
    from efficient_sed.frontier.html import write_page
    from efficient_sed.frontier.points import read_published
    from efficient_sed.frontier.runs import output_base, with_ending

    check_output("--output", options.output, (*PICTURES, "html"))
    for option in ("device", "score", "cost"):
        if getattr(options, option):
            raise ConfigError(f"--{option} is about runs; leave --published out")
    base = output_base(options.output)
    _print_written(
        [*draw_corrected(read_published(), with_ending(base, "png")), write_page([], with_ending(base, "html"))]
    )
    return 0


def check_output(option: str, output: Path, endings: Sequence[str] = (*PICTURES, "html", "csv")) -> None:
    """Check before a training, not after it, that the files of a plot can be written.

    Files replace only files of their kind: others of the same name may be the user's own.

    Args:
        option: What the path was typed as, for the message.
        output: The picture.
        endings: Of the files that will be written.

    Raises:
        ConfigError: If one cannot be written, or would replace a file of another kind.
    """
    from efficient_sed.experiment.record import result_columns
    from efficient_sed.files.atomic import check_replaceable, names_program
    from efficient_sed.frontier.runs import output_base, with_ending

    if not output.is_dir() and output_base(output) == output and FILE_ENDING.fullmatch(output.suffix):
        raise ConfigError(
            f"{option} {output} is not allowed: PNG and SVG are drawn, such as {output.with_suffix('.png')}"
        )
    header = ",".join(result_columns()[:3])
    for ending in endings:
        path = with_ending(output_base(output), ending)
        try:
            check_replaceable(path, (lambda start: start.startswith(header)) if ending == "csv" else names_program)
        except OSError as error:
            raise ConfigError(f"{option} {output}: {path} cannot be written ({error.strerror})") from error


def report_runs(
    folders: Sequence[Path],
    output: Path,
    *,
    allow_mixed: bool = False,
    device_files: Sequence[Path] = (),
    score: str | None = None,
    costs: Sequence[str] | None = None,
) -> None:
    """Print the table of finished runs, and write CSV, page and pictures.

    Args:
        folders: Of the runs.
        output: Where the pictures go; further ones get a number.
        allow_mixed: A picture for each score that leads, instead of one for each set of runs that compare.
        device_files: What exported models of the runs were measured to cost on another machine; only these are drawn.
        score: Key of the score to draw; default None: that which leads the table.
        costs: Keys of the costs to draw it against; default None: parameters, MACs and throughput.
    """
    from efficient_sed.cli.table1 import table1
    from efficient_sed.cli.tables import result_table
    from efficient_sed.experiment.record import write_csv
    from efficient_sed.frontier.axes import PANELS
    from efficient_sed.frontier.device_rows import results_on_device
    from efficient_sed.frontier.front import group_by_metric, group_comparable
    from efficient_sed.frontier.html import write_page
    from efficient_sed.frontier.plot import draw_frontier
    from efficient_sed.frontier.points import check_costs, read_published, run_points
    from efficient_sed.frontier.runs import output_base, read_results, with_ending

    found: Sequence[tuple[Path, Mapping[str, Any]]] = read_results(folders)
    if device_files:
        found = results_on_device(found, device_files)
    points = run_points(found, score)
    if costs is not None:
        check_costs(points, costs)
    results = [result for _, result in found]
    groups = group_by_metric(points)
    if not allow_mixed:
        groups = [comparable for group in groups for comparable in group_comparable(group)]
    print_table(result_table(results))
    if (beside := table1(results)) is not None:
        print_table(beside)
    base = output_base(output)
    pictures = [base if index == 0 else base.with_name(f"{base.name}_{index + 1}") for index in range(len(groups))]
    for picture in pictures:
        check_output("plot", with_ending(picture, "png"), PICTURES)
    written = [write_csv(with_ending(base, "csv"), results), write_page(found, with_ending(base, "html"))]
    names = _group_names(groups, results) if not allow_mixed else [None] * len(groups)
    for group, picture, name in zip(groups, pictures, names, strict=True):
        published = read_published() if group[0].metric == "psds1_macro" else []
        path = with_ending(picture, "png")
        written += draw_frontier(group, published, path, allow_mixed=allow_mixed, costs=costs or PANELS, data=name)
    if len(groups) > 1:
        sets = [
            f"{with_ending(picture, 'png')} {group[0].metric} on {name or 'several sets'}"
            for group, picture, name in zip(groups, pictures, names, strict=True)
        ]
        words = f"the runs differ in data or score and do not compare: {len(groups)} pictures"
        print(f"efficient-sed: {words}: {'; '.join(sets)}", file=sys.stderr)
    _print_written(written)


def _group_names(groups: Sequence[Sequence[Point]], results: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """What each group was scored on, in words."""
    from efficient_sed.experiment.differences import data_words
    from efficient_sed.frontier.group_names import name_conditions

    names: dict[str, list[Mapping[str, Any]]] = {}
    for group in groups:
        names.setdefault(group[0].metric, []).append(group[0].conditions)
    words = data_words(results)
    return [name for conditions in names.values() for name in name_conditions(conditions, words)]


def _print_written(paths: Sequence[Path]) -> None:
    print("wrote " + ", ".join(str(path) for path in paths))
