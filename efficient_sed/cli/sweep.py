"""`efficient-sed sweep`: train every point of a grid, then draw the frontier."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from efficient_sed.cli.options import OVERRIDES_HELP, add_overrides, typed_path
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.plot import check_output, report_runs
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import EXIT_FAILED
from efficient_sed.registry import LAUNCHERS


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "sweep",
        run,
        "Train every point of a grid given by comma lists, then draw the frontier.",
        examples=(
            "sweep backbone=fmn04,fmn10 seq=gru,tf seq.hidden=64,128 train.epochs=2",
            "sweep experiment=smoke seq=all seq.hidden=64 launcher.jobs=2 --plot plots/heads.png",
        ),
    )
    add_overrides(
        parser,
        f"{OVERRIDES_HELP}; seeds=0,1,2 repeats every point, and tables show mean ± deviation; "
        "points that are finished already are skipped",
        metavar="key=value[,value…]",
    )
    parser.add_argument(
        "--launcher",
        default="local",
        help=f"where runs are carried out: {', '.join(LAUNCHERS.modules())}; launcher.key=value sets it up",
    )
    parser.add_argument(
        "--plot",
        type=typed_path,
        default=Path("plots/frontier.png"),
        help="picture to draw at the end (PNG; an SVG, a CSV and an interactive page are written beside it)",
    )


def run(options: argparse.Namespace) -> int:
    """Train what is not finished and draw what is; status 1 if a run failed."""
    from efficient_sed.cli.live_grid import LiveGrid
    from efficient_sed.sweep.grid import expand_grid
    from efficient_sed.sweep.launch import State, run_grid
    from efficient_sed.sweep.launcher import create_launcher
    from efficient_sed.sweep.preflight import check_points

    check_output("--plot", options.plot)
    launcher, overrides = create_launcher(options.launcher, options.overrides)
    points = check_points(expand_grid(overrides))
    with LiveGrid() as live:
        statuses = run_grid(points, launcher, live.show)
    failed = [status for status in statuses if status.state is State.FAILED]
    for status in failed:
        print(f"efficient-sed: {status.point.folder} failed: {status.message}", file=sys.stderr)
    if finished := [status.point.folder for status in statuses if status.state is State.FINISHED]:
        report_runs(finished, options.plot)
        _report_classes(finished)
    return EXIT_FAILED if failed else 0


def _report_classes(folders: Sequence[Path]) -> None:
    """Print a table for each class of the run with the best score of detection."""
    from efficient_sed.cli.class_table import class_table
    from efficient_sed.experiment.result_file import main_score, read_result

    results = [result for folder in folders if (result := read_result(folder)) and result["task"] == "detection"]
    if results:
        best = max(results, key=lambda result: float(result["metrics"][main_score(result).key]))
        print_table(class_table(best["metrics"], best["model"]))
