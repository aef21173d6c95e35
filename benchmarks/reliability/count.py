"""What the scripts share: options, a working folder, and the table at the end."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from efficient_sed.files.cache import HOME_VARIABLE
from reliability.jobs import Material, material, warm_up

MAX_PRINTED = 20


@dataclass(frozen=True)
class Count:
    """What was asked for, and where it is carried out."""

    kinds: Sequence[str]
    count: int
    seed: int
    given: Material
    folder: Path

    def report(self, columns: Sequence[str], rows: Iterable[tuple[Sequence[object], Sequence[str]]]) -> int:
        """Print a row for each kind, with what was wrong in the last column, then all that was wrong.

        Returns:
            The exit status.
        """
        print(f"| {' | '.join(columns)} | wrong |\n|{'---|' * (len(columns) + 1)}")
        problems: list[str] = []
        for cells, wrong in rows:
            print(f"| {' | '.join(map(str, cells))} | {len(wrong)} |")
            problems += wrong
        for problem in problems[:MAX_PRINTED]:
            print(f"wrong, with --seed {self.seed}: {problem}")
        return 1 if problems else 0


@contextmanager
def counting(
    arguments: Sequence[str] | None, text: str | None, kinds: Iterable[str], count: int, counted: str
) -> Iterator[Count]:
    """Options of a script, and all that its jobs need until the block ends.

    Args:
        arguments: Of the command line; None for those of this process.
        text: The docstring of the script.
        kinds: Names of the jobs that it knows.
        count: Default of --count.
        counted: What --count counts, for the help.
    """
    known = tuple(kinds)
    parser = argparse.ArgumentParser(
        description=(text or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--kind", default=",".join(known), help=f"comma list of {', '.join(known)}")
    parser.add_argument("--count", type=int, default=count, help=counted)
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    options = parser.parse_args(arguments)
    chosen = options.kind.split(",")
    if unknown := [kind for kind in chosen if kind not in known]:
        parser.error(f"--kind {unknown[0]!r} is not allowed: {', '.join(known)}")
    if options.count < 1:
        parser.error(f"--count {options.count} is not allowed: 1 or more")
    with TemporaryDirectory(prefix="count_") as name, material(options.seed) as given:
        os.environ[HOME_VARIABLE] = f"{name}/home"
        warm_up(Path(name), chosen)
        yield Count(chosen, options.count, options.seed, given, Path(name))
