"""The command line: collects the commands, runs the one that was typed, and turns errors into one line."""

from __future__ import annotations

import argparse
import atexit
import gc
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from efficient_sed import __version__
from efficient_sed.cli import (
    benchmark,
    compare,
    data,
    detect,
    evaluate,
    export,
    listen,
    models,
    plot,
    pseudo_label,
    score,
    sweep,
    train,
    tune,
    verify,
)
from efficient_sed.cli.parser import PROGRAM, Commands, HelpFormatter, Parser
from efficient_sed.cli.terminal import escape_unencodable
from efficient_sed.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    EfficientSedError,
    PreemptedError,
)
from efficient_sed.experiment.input_paths import check_places
from efficient_sed.machine.allocator import keep_freed_memory
from efficient_sed.machine.memory import explain

COMMANDS = (
    train, sweep, evaluate, tune, score, compare, benchmark, plot, detect, listen, data, pseudo_label, export, models,
    verify,
)  # fmt: skip

GARBAGE_EVERY = 50_000  # objects, instead of 700, between looks for those that refer to each other in a circle


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What was typed behind the program's name; default None, `sys.argv[1:]`.

    Returns:
        The exit status: 0; 1 if a run of a grid or a verification failed; 2 for a mistake of the user; 3 for data that
        do not compare; 130 and 143 after Ctrl-C and SIGTERM.
    """
    _set_up()
    options = parse(arguments)
    try:
        if not getattr(options, "show_config", False):
            words = getattr(options, "overrides", ()) or getattr(options, "words", ())
            check_places(words, is_sweep=options.run is sweep.run)
        status: int = options.run(options)
        sys.stdout.flush()  # so that a full disk behind it is an error here, not after Python's last line
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one prints
            print(f"{PROGRAM}: interrupted; what is finished is kept{_resume_hint(options)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if (message := _message(error, options)) is None:
            raise
        print(f"{PROGRAM}: {message}", file=sys.stderr)
        return EXIT_TERMINATED if isinstance(error, PreemptedError) else EXIT_USAGE


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse what was typed; a mistake ends the program with status 2 and one line.

    Args:
        arguments: As for `main`.
    """
    options, rest = build_parser().parse_known_args(arguments)
    _take_rest(options, rest)
    return options


def build_parser() -> Parser:
    """The parser of all commands."""
    description = "Train, measure and compare small networks for sound event detection."
    parser = Parser(prog=PROGRAM, description=description, formatter_class=HelpFormatter)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = Commands(parser)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def _set_up() -> None:
    """Set what all commands share in this process."""
    escape_unencodable()
    os.environ["MPLBACKEND"] = "Agg"  # a notebook's own backend needs the notebook's packages
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for library in ("httpx", "httpx2"):  # below huggingface_hub, by its version: they tell of every request
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # two decoders on one core are intended
    keep_freed_memory()
    # What libraries make while they are imported is no garbage: to look for some then, and again at the end, takes long
    gc.set_threshold(GARBAGE_EVERY)
    atexit.register(gc.freeze)


def _take_rest(options: argparse.Namespace, rest: list[str]) -> None:
    """Take words behind an option, which argparse leaves over: `models convert --half IN OUT`, more key=value."""
    is_text = not any(item.startswith("-") for item in rest)
    if is_text and hasattr(options, "words"):
        options.words += rest
    elif is_text and hasattr(options, "overrides") and all("=" in item for item in rest):
        options.overrides += rest
    elif rest:
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")


def _message(error: Exception, options: argparse.Namespace) -> str | None:
    """What to print about an error that a user can cause; None for a fault of the program."""
    if isinstance(error, PreemptedError):
        return str(error)
    if isinstance(error, EfficientSedError):
        return _as_typed(error.for_command_line(), getattr(options, "option_of", {}))
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "efficient_sed").startswith("efficient_sed"):
            return None
        advice = "without PyTorch, detect, listen and benchmark take an exported model: --model FILE.onnx"
        return f"this needs the package {error.name}, which is not installed; {advice}"
    if isinstance(error, OSError):  # a full disk, a folder without permission
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return explain(error)


def _as_typed(message: str, option_of: dict[str, str]) -> str:
    """A message about a configuration key, with the option that the key was typed as."""
    key, is_value, _ = message.partition("=")
    option = option_of.get(key.split("[")[0])  # a list's key ends in the index of the wrong value
    return message.replace(f"{key}=", f"{option} ") if is_value and option else message


def _resume_hint(options: argparse.Namespace) -> str:
    if options.run not in (train.run, sweep.run):
        return ""
    return ", and a training goes on from its last finished epoch when the same command is typed again"
