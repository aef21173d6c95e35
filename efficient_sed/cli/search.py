"""`efficient-sed search`: find the models that score best within a budget."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.cli.options import OVERRIDES_HELP, add_budget, add_overrides, count, typed_path
from efficient_sed.cli.parser import PROGRAM, Commands
from efficient_sed.cli.plot import check_output, report_runs
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.registry import LAUNCHERS


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "search",
        run,
        "Search for the models that score best on validation within a budget; the same command goes on.",
        examples=(
            "search data=synthetic --max-macs 500M --max-params 2M --trials 60",
            "search data=synthetic seq=gru --space backbone=fmn01,fmn02 --space seq.hidden=16..64",
        ),
        notes=_default_space,
    )
    add_overrides(parser, f"{OVERRIDES_HELP}; a key that is given is not searched")
    add_budget(parser)
    parser.add_argument(
        "--trials", type=count, default=60, metavar="N", help="trials in all, of earlier starts and other processes too"
    )
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="KEY=A,B,C|KEY=LOW..HIGH",
        help="choices or range of a key, in place of the default ones",
    )
    parser.add_argument(
        "--launcher",
        default="local",
        help=f"where trials are carried out: {', '.join(LAUNCHERS.modules())}; launcher.jobs=4: so many at a time",
    )
    parser.add_argument("--compare", type=typed_path, metavar="RUNS", help="folder with runs of a grid to compare with")
    parser.add_argument(
        "--plot",
        type=typed_path,
        default=Path("plots/search.png"),
        help="picture to draw at the end, and what lies beside it",
    )


def _default_space() -> str:
    from efficient_sed.search.space import DEFAULT_SPACE

    return "\n".join(("searched by default:", *(f"  {dimension}" for dimension in DEFAULT_SPACE)))


def run(options: argparse.Namespace) -> int:
    """Search, then draw and print what was found."""
    from efficient_sed.cli.live_grid import LiveGrid
    from efficient_sed.experiment.result_file import read_result
    from efficient_sed.frontier.runs import find_runs, read_results
    from efficient_sed.search.costs import Budget
    from efficient_sed.search.run import Report, Search, run_search
    from efficient_sed.search.space import create_space
    from efficient_sed.sweep.launcher import create_launcher

    check_output("--plot", options.plot)
    grid = [] if options.compare is None else [result for _, result in read_results(find_runs(options.compare))]
    launcher, overrides = create_launcher(options.launcher, options.overrides)
    budget = Budget(options.max_macs, options.max_params)
    search = Search(create_space(options.space, overrides), budget, options.trials)
    with LiveGrid() as live:
        report = Report(live.show, lambda line: print(f"{PROGRAM}: {line}", file=sys.stderr))
        found = run_search(search, launcher, report)
    if not found:
        raise DataError("no trial has finished; give more of them by --trials N")
    report_runs([*found], options.plot)
    results = [(result, words) for folder, words in found.items() if (result := read_result(folder)) is not None]
    _print_front(results)
    if grid:
        _print_share([result for result, _ in results], grid, options)
    return 0


def _print_front(results: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> None:
    from efficient_sed.search.front import front_of, trained

    commands = {result["signature"]: shlex.join([PROGRAM, "train", *words]) for result, words in results}
    front = front_of(run for result, _ in results if (run := trained(result)) is not None)
    print(f"the front of {len(results)} runs, chosen by the validation score:")
    for member in front:
        macs = f"{member.macs / 1e6:,.1f} M MACs, {member.result['complexity']['params']:,} parameters"
        print(f"validation {member.validation:.3f}, test {member.test:.3f}, {macs}:")
        print(f"  {commands[member.result['signature']]}")


def _print_share(
    results: Sequence[Mapping[str, Any]], grid: Sequence[Mapping[str, Any]], options: argparse.Namespace
) -> None:
    from efficient_sed.frontier.points import score_conditions
    from efficient_sed.search.front import share_of, trained

    conditions = score_conditions(results[0])
    comparable = [result for result in grid if score_conditions(result) == conditions]
    if not comparable:
        raise ConfigError(f"--compare {options.compare}: no run there was scored on the same data in the same way")
    own, other = ([run for each in group if (run := trained(each))] for group in (results, comparable))
    share = share_of(own, other, options.max_macs)
    if share is None:
        print(f"no run of {options.compare} is within the budget, or none scores above 0")
    else:
        print(
            f"the front dominates {100 * share:.0f} % of the area that the {len(comparable)} runs of {options.compare} "
            "dominate (test score over log10 of MACs)"
        )
