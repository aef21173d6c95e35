"""The command line. One subcommand a function; a user's mistake is one line on stderr and exit status 2."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from efficient_sed import __version__
from efficient_sed.cli.costs import add_costs, check_place, report
from efficient_sed.cli.detect import add_detect, run_detect
from efficient_sed.cli.export import add_export, run_export
from efficient_sed.cli.listen import add_listen, run_listen
from efficient_sed.cli.models import add_released
from efficient_sed.cli.terminal import escape_unencodable, print_table
from efficient_sed.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    ConfigError,
    EfficientSedError,
    PreemptedError,
)
from efficient_sed.experiment.input_paths import check_places
from efficient_sed.inference.engines import DEFAULT_ENGINE, ENGINES
from efficient_sed.machine.allocator import keep_freed_memory
from efficient_sed.machine.memory import explain

OVERRIDES_HELP = "key=value pairs, such as seq=gru seq.hidden=128 data=folder data.root=DIR train.epochs=20"

OF_TRAINING, OF_SCORING = (
    ("backbone", "seq", "model", "train", "benchmark"),
    ("train.batch_size", "train.accelerator"),
)  # keys


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0; 1 if a run of a grid or a verification failed, 2 for a mistake of the user, 3 for data that do not compare, 130 and 143 after Ctrl-C and SIGTERM.
    """
    os.environ["MPLBACKEND"] = (
        "Agg"  # a notebook exports its own, which needs packages of the notebook, to its commands
    )
    escape_unencodable()
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    keep_freed_memory()
    warnings.filterwarnings(
        "ignore", message="This DataLoader will create"
    )  # two decoding processes on one core are no mistake
    for noisy in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if not getattr(options, "show_config", False):
            check_places(
                getattr(options, "overrides", ()) or getattr(options, "words", ()), is_sweep=options.run is run_sweep
            )
        command: Callable[[argparse.Namespace], int] = options.run
        status = command(options)
        sys.stdout.flush()  # a full disk behind it is told of here, not after the last line of Python
        return status
    except PreemptedError as error:
        print(f"efficient-sed: {error}", file=sys.stderr)
        return EXIT_TERMINATED
    except EfficientSedError as error:
        print(
            f"efficient-sed: {_as_typed(error.for_command_line(), getattr(options, 'option_of', {}))}", file=sys.stderr
        )
        return EXIT_USAGE
    except ModuleNotFoundError as error:
        if (error.name or "efficient_sed").startswith("efficient_sed"):
            raise
        advice = "without PyTorch, detect, listen and benchmark take an exported model: --model FILE.onnx"
        print(f"efficient-sed: this needs the package {error.name}, which is not installed; {advice}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:  # a full disk, a folder without permission
        print(f"efficient-sed: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE
    except (MemoryError, RuntimeError) as error:
        if (cause := explain(error)) is None:
            raise
        print(f"efficient-sed: {cause}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        is_training = options.run in (run_train, run_sweep)
        going_on = (
            ", and a training goes on from its last finished epoch when the same command is typed again"
            if is_training
            else ""
        )
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one tells
            print(f"efficient-sed: interrupted; what is finished is kept{going_on}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _as_typed(message: str, option_of: Mapping[str, str]) -> str:
    """A message about the value of a key, with the option that it was typed as."""
    key, is_value, _ = message.partition("=")
    option = option_of.get(key.split("[")[0])  # of a list, which of its values is told
    return message.replace(f"{key}=", f"{option} ") if is_value and option else message


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was typed, or exit status 2 with a line that says what is wrong with it."""
    options, rest = build_parser().parse_known_args(arguments)
    _take_rest(options, rest)
    return options


def _take_rest(options: argparse.Namespace, rest: list[str]) -> None:
    """Words behind an option, which argparse leaves over: more key=value, or the files of `models convert --half IN OUT`."""
    if any(item.startswith("-") for item in rest):
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if hasattr(options, "words"):
        options.words += rest
    elif rest and hasattr(options, "overrides") and all("=" in item for item in rest):
        options.overrides += rest
    elif rest:
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults, where there is one to tell."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return (
            action.help
            if action.default is None or action.default is False or action.default == []
            else super()._get_help_string(action)
        )


class _Parser(argparse.ArgumentParser):
    """Says what is wrong on one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = _Parser(
        prog="efficient-sed", description="Train, measure and compare small networks for sound event detection."
    )
    parser.add_argument("--version", action="version", version=f"efficient-sed {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, formatter_class=_Help)
        command.set_defaults(run=run, parser=command)
        return command

    train = add("train", run_train, "Train one model, evaluate it and measure its cost; an interrupted run is resumed.")
    train.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES_HELP)
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.add_argument("--exit-with-parent", action="store_true", help=argparse.SUPPRESS)
    train.add_argument("--show-config", action="store_true", help="print the effective configuration and stop")

    sweep = add(
        "sweep",
        run_sweep,
        "Train every point of a grid given by comma lists, then draw the frontier; finished points are skipped.",
    )
    sweep.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value[,value…]",
        help=f"{OVERRIDES_HELP}; seeds=0,1,2 repeats every point, and tables show mean ± deviation",
    )
    sweep.add_argument(
        "--launcher",
        default="local",
        help="where runs are carried out: local, slurm or ray; launcher.key=value sets it up",
    )
    sweep.add_argument(
        "--plot",
        type=Path,
        default=Path("plots/frontier.png"),
        help="picture to draw at the end (PNG; an SVG, a CSV and an interactive page are written beside it)",
    )

    evaluate = add("evaluate", run_evaluate, "Score a trained model on the test part of a data set.")
    evaluate.add_argument("model", help="released name, checkpoint file, or exported model (.onnx)")
    evaluate.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="data=… and evaluation.…, as for train"
    )
    evaluate.add_argument("--part", choices=("train", "validation", "test"), default="test")
    evaluate.add_argument(
        "--engine", help=f"what runs an exported model: {', '.join(ENGINES)} (default: {DEFAULT_ENGINE})"
    )

    compare = add(
        "compare", run_compare, "Say whether one finished run is better than another, or only luckier with its clips."
    )
    compare.add_argument("first", type=Path, metavar="RUN_A", help="folder of a finished detection run")
    compare.add_argument("second", type=Path, metavar="RUN_B", help="folder of another one on the same data")
    compare.add_argument("--replicates", type=int, default=1000, help="draws of the clips")
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")

    add_costs(add)

    add_detect(add("detect", run_detect, "Find sound events in recordings of any length."))
    add_listen(
        add(
            "listen",
            run_listen,
            "Print sound events while they happen, from raw samples on the standard input or a microphone.",
        )
    )

    data = add("data", run_data, "Make or read a data set and print what is in it.")
    data.add_argument(
        "action",
        choices=("check", "pack"),
        help="check: what is here of what is expected, events per class; decodes every file. pack: write a 16 kHz copy",
    )
    data.add_argument(
        "words",
        nargs="*",
        metavar="key=value | OUT.h5",
        help="data=synthetic data.seed=1, or data=audioset_strong data.root=DIR; for pack the file to write, too",
    )
    data.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="check: write part, id, duration and hash of every clip, one JSON line each",
    )
    data.add_argument("--classes", action="store_true", help="check: show every class of a long list")
    data.add_argument("--force", action="store_true", help="pack: overwrite OUT.h5")
    data.add_argument(
        "--shard-gb",
        type=float,
        metavar="GB",
        help="pack: write a folder OUT of files that hold so much sound each, instead of one file OUT.h5",
    )

    pseudo_label = add(
        "pseudo-label",
        run_pseudo_label,
        "Write teachers' frame logits of a data set into an HDF5 file, for data.pseudo_labels=FILE of a training.",
    )
    pseudo_label.add_argument(
        "--teacher",
        required=True,
        metavar="NAME[,NAME…]",
        help="released names, checkpoint files or files of logits; of several the logits are averaged",
    )
    pseudo_label.add_argument("--part", choices=("train", "validation", "test"), default="train")
    pseudo_label.add_argument(
        "output", type=Path, metavar="OUT.h5", help="file to write; until it is whole, OUT.h5.part keeps what is done"
    )
    pseudo_label.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="data=… and data.…, as for train; train.batch_size=N clips a pass on a GPU",
    )

    add_export(
        add(
            "export",
            run_export,
            "Write a model for another run time; a float32 file is kept only if its scores are PyTorch's.",
        )
    )
    add_released(add)
    return parser


def run_train(options: argparse.Namespace) -> int:
    from efficient_sed.experiment.compose import compose_run

    config = compose_run(options.overrides)
    if options.show_config:
        from efficient_sed.config.schema import to_dict

        print(json.dumps(to_dict(config), indent=1))
        return 0
    from efficient_sed.experiment.folders import run_folder
    from efficient_sed.experiment.record import result_table
    from efficient_sed.experiment.run import run_experiment

    if options.exit_with_parent:
        threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
    with (
        _hidden_gpus()
        if config.train.accelerator == "cpu" and config.benchmark.device != "gpu"
        else contextlib.nullcontext()
    ):
        result = run_experiment(config, show_progress=not options.quiet and sys.stderr.isatty())
    print_table(result_table([result]))
    print(f"everything about this run: {run_folder(config, result['data']['manifest_hash'])}")
    return 0


@contextlib.contextmanager
def _hidden_gpus() -> Iterator[None]:
    """Keep an optimiser of torch from opening a context on a GPU that nobody asked for."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _exit_at_end_of_input() -> None:
    """The sweep holds the other end of the pipe: if it is killed, its run must not go on beside the one of the next start."""
    while os.read(
        sys.stdin.fileno(), 1
    ):  # not through sys.stdin, whose lock this thread would hold when the interpreter ends
        pass
    os._exit(EXIT_FAILED)


def run_sweep(options: argparse.Namespace) -> int:
    from efficient_sed.sweep.grid import expand_grid
    from efficient_sed.sweep.launch import State, run_grid
    from efficient_sed.sweep.launchers.choose import create_launcher
    from efficient_sed.sweep.live import LiveGrid
    from efficient_sed.sweep.preflight import check_points

    check_place("--plot", options.plot)
    launcher, overrides = create_launcher(options.launcher, options.overrides)
    points = expand_grid(overrides)
    points = check_points(points)
    with LiveGrid() as live:
        statuses = run_grid(points, launcher, live.show)
    failed = [status for status in statuses if status.state is State.FAILED]
    for status in failed:
        print(f"efficient-sed: {status.point.folder} failed: {status.message}", file=sys.stderr)
    if len(failed) < len(statuses):
        report(
            [status.point.folder for status in statuses if status.state is State.FINISHED],
            options.plot,
            allow_mixed=False,
            is_split=True,
        )
    return EXIT_FAILED if failed else 0


def run_evaluate(options: argparse.Namespace) -> int:
    from efficient_sed.experiment.compose import compose_run, key_of
    from efficient_sed.experiment.score import score_checkpoint

    config, typed = compose_run(options.overrides), {key_of(override): override for override in options.overrides}
    for key, override in typed.items():
        if key.split(".")[0] in OF_TRAINING and key not in OF_SCORING:
            raise ConfigError(
                f"{override}: evaluate takes the model as it is; allowed: data=…, data.KEY, evaluation.KEY, task, {', '.join(OF_SCORING)}"
            )
    metrics = score_checkpoint(options.model, config, options.part, set(typed), options.engine)
    print(json.dumps({"model": options.model, "part": options.part, **metrics}, indent=1))
    return 0


def run_compare(options: argparse.Namespace) -> int:
    import dataclasses

    from efficient_sed.experiment.compare import compare_runs

    comparison = compare_runs(options.first, options.second, options.replicates)
    print(
        json.dumps({**dataclasses.asdict(comparison), "is_real": comparison.is_real}, indent=1)
        if options.json
        else "\n".join(comparison.lines())
    )
    return 0


def run_pseudo_label(options: argparse.Namespace) -> int:
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.teachers.write import write_pseudo_labels

    config = compose_run(options.overrides)
    written = write_pseudo_labels(
        options.teacher.split(","), options.output, config, options.part, show_progress=sys.stderr.isatty()
    )
    print(f"{options.output}: logits of {written.num_clips} clips; left out: {written.num_left_out}")
    return 0


def run_data(options: argparse.Namespace) -> int:
    from efficient_sed.cli.pack import pack_command
    from efficient_sed.data.check import check_data, check_manifest_place, coverage_table, data_table, write_manifest
    from efficient_sed.data.events import overhang_notes
    from efficient_sed.experiment.compose import compose_run, key_of
    from efficient_sed.models.sed import frame_grid

    if options.action == "pack":
        if options.manifest or options.classes:
            raise ConfigError("--manifest and --classes belong to: efficient-sed data check")
        print(pack_command(options.words, is_forced=options.force, shard_gb=options.shard_gb))
        return 0
    if options.force or options.shard_gb is not None:
        raise ConfigError("--force and --shard-gb belong to: efficient-sed data pack")
    if options.manifest:
        check_manifest_place(options.manifest)
    config = compose_run(options.words)
    names_model = any(key_of(word).split(".")[0] in ("backbone", "model", "experiment") for word in options.words)
    report = check_data(config.data, frame_grid(config.backbone) if names_model else None)
    print_table(coverage_table(report))
    print_table(data_table(report.splits, is_whole=options.classes))
    for note in overhang_notes(report.splits):
        print(note)
    print(f"manifest hash {report.splits.manifest_hash}; unreadable files: {len(report.problems)}")
    if options.manifest:
        write_manifest(report.splits, options.manifest)
    for problem in report.problems:
        print(f"efficient-sed: {problem}", file=sys.stderr)
    return EXIT_FAILED if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
