"""Help: every command ends in two examples, which can be typed, and nothing in it is wider than 100 columns."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from efficient_sed.cli.main import COMMANDS, build_parser, main, parse
from efficient_sed.cli.parser import PROGRAM
from efficient_sed.experiment.compose import compose_run
from efficient_sed.files.packaged import presets
from efficient_sed.registry import DATASETS, ENGINES, EXPORT_TARGETS
from efficient_sed.sweep.grid import expand_grid
from efficient_sed.sweep.launcher import create_launcher


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    (commands,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(commands.choices)


EXAMPLES_OF = {
    name: [line.strip() for line in parser.format_help().partition("examples:\n")[2].splitlines()]
    for name, parser in parsers().items()
}
EXAMPLES = [line for lines in EXAMPLES_OF.values() for line in lines]


def test_every_command_has_two_or_three_examples() -> None:
    assert len(parsers()) == len(COMMANDS) >= 13
    assert {name for name, lines in EXAMPLES_OF.items() if not 2 <= len(lines) <= 3} == set()


@pytest.mark.parametrize("name", parsers())
def test_help_fits_into_100_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert max(map(len, text.splitlines())) <= 100
    assert text.endswith(EXAMPLES_OF[name][-1] + "\n")


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_can_be_typed(example: str) -> None:
    words = shlex.split(example.partition(" < ")[0])
    assert words[0] == PROGRAM
    options = parse(words[1:])
    overrides = [word for word in getattr(options, "overrides", ()) or getattr(options, "words", ()) if "=" in word]
    if words[1] == "sweep":
        assert expand_grid(create_launcher(options.launcher, overrides)[1])
    elif words[1] != "models":
        compose_run(overrides)


def test_every_option_says_what_it_does() -> None:
    shown = [
        (name, action)
        for name, parser in parsers().items()
        for action in parser._actions
        if action.help != argparse.SUPPRESS
    ]
    assert len(shown) > 80
    assert [(name, action.dest) for name, action in shown if not action.help] == []


def test_train_names_presets_and_data_sets() -> None:
    words = re.findall(r"\w+", parsers()["train"].format_help())
    assert {*presets("experiment"), *DATASETS.names()} <= set(words)
    assert DATASETS.modules() == DATASETS.names()  # help lists files, so that it imports none


def test_export_names_formats_precisions_and_engines() -> None:
    text = parsers()["export"].format_help()
    words = re.findall(r"[\w-]+", text)
    assert {*ENGINES.names(), *EXPORT_TARGETS.names()} <= set(words)
    for name in EXPORT_TARGETS.names():
        assert set(EXPORT_TARGETS.get(name).precisions) <= set(words)
