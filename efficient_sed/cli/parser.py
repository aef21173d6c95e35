"""How a command declares itself: its options, its help with examples, and one line for what is typed wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from efficient_sed.errors import EXIT_USAGE

PROGRAM = "efficient-sed"
HELP_WIDTH = 100
Run = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose closing notes are made only when help is printed."""

    notes: Callable[[], str] | None = None

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line on the standard error stream."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    def format_help(self) -> str:
        """The help, with the notes in front of the examples."""
        if self.notes is None:
            return super().format_help()
        examples = self.epilog or ""
        self.epilog = f"{self.notes()}\n\n{examples}"
        try:
            return super().format_help()
        finally:
            self.epilog = examples


class Commands:
    """The commands of the program.

    Args:
        parser: The program's own parser.
    """

    def __init__(self, parser: Parser) -> None:
        self._parsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def add(
        self, name: str, run: Run, summary: str, examples: Sequence[str], notes: Callable[[], str] | None = None
    ) -> Parser:
        """Declare a command.

        Args:
            name: What is typed.
            run: Carries it out and returns the exit status.
            summary: One sentence, shown in the list of commands and above the command's options.
            examples: Command lines that end the help, without the program's name.
            notes: Text above the examples, made when the help is printed.

        Returns:
            The command's parser, to which its options are added.
        """
        lines = "\n".join(f"  {PROGRAM} {example}" for example in examples)
        parser = self._parsers.add_parser(
            name, help=summary, description=summary, epilog=f"examples:\n{lines}", formatter_class=HelpFormatter
        )
        parser.notes = notes
        parser.set_defaults(run=run, parser=parser)
        return parser


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of an option where there is one, and keeps the lines of the examples."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=HELP_WIDTH)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default is not None and action.default is not False and action.default != []
        return super()._get_help_string(action) if has_default else action.help

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)
