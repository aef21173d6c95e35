"""What README tells people to type exists."""

import re
import shlex
from pathlib import Path

import pytest

import efficient_sed as es
from efficient_sed.cli.main import parse
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.overrides import take_group
from efficient_sed.registry import LAUNCHERS
from efficient_sed.sweep.grid import expand_grid
from efficient_sed.sweep.launcher import LAUNCHER_KEY

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`(efficient-sed [a-z][^`]*)`", README)


def test_readme_names_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command: str) -> None:
    options = parse(shlex.split(command)[1:])
    if command.startswith("efficient-sed sweep "):
        assert expand_grid(take_group(options.overrides, LAUNCHER_KEY, LAUNCHERS.get(options.launcher))[1])
    elif hasattr(options, "overrides"):
        compose_run([item for item in options.overrides if "=" in item])


def test_make_targets_and_variables_exist() -> None:
    targets = re.findall(r"`?make ([a-z]+)", README)
    assert {"sweep", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    for variable in ("BACKBONE", "SEQ", "HIDDEN", "DATA", "PRESET", "LAUNCHER", "ARGS", "PYTHON"):
        assert f"`{variable}" in README, variable
        assert re.search(rf"^{variable} +\?=", MAKEFILE, re.MULTILINE), variable


def test_public_names_exist() -> None:
    for name in set(re.findall(r"\bes\.(\w+)\(", README)):
        assert callable(getattr(es, name))


def test_files_exist() -> None:
    for path in re.findall(r"`((?:efficient_sed|configs|benchmarks|pretrained)/[\w./]*)`", README):
        assert (ROOT / path).exists(), path
