"""`efficient-sed listen`: events in sound that is still going on, from a microphone, a camera, or any pipe."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from efficient_sed.cli.listen_options import (
    add_sinks,
    add_source,
    check_options,
    create_sinks,
    create_source,
    parse_broker,
)
from efficient_sed.cli.options import add_detector, chosen_model
from efficient_sed.cli.parser import Commands
from efficient_sed.config.evaluation import AUTO, TORCH
from efficient_sed.inference.engines.contract import is_exported
from efficient_sed.inference.sources.contract import BLOCK_S


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "listen",
        run,
        "Print sound events while they happen, from a microphone, a camera, a pipe or a file.",
        examples=(
            "listen --microphone --format jsonl --mqtt mqtt://user@broker/garden",
            "listen rtsp://camera/stream --model detector.onnx --only dog,siren --clips clips",
        ),
    )
    add_source(parser)
    add_detector(parser, auto="torch, which keeps the state of a causal model")
    parser.add_argument(
        "--hop",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="from one forward pass to the next; a shorter one costs more",
    )
    parser.add_argument(
        "--lookahead",
        type=float,
        default=0.4,
        metavar="SECONDS",
        help="sound after a frame that its score waits for",
    )
    add_sinks(parser)


def run(options: argparse.Namespace) -> int:
    """Pass on each event as soon as it has ended; the standard output has onset, offset, label and score of each."""
    from efficient_sed.export.engine_file import choose_file
    from efficient_sed.inference.detect import open_detector
    from efficient_sed.inference.detect_options import DetectOptions
    from efficient_sed.inference.listener import Listener
    from efficient_sed.inference.live_selection import Selection
    from efficient_sed.inference.stream import Stream

    channel, broker = check_options(options), parse_broker(options)
    name = chosen_model(options.model)
    is_torch = options.engine == AUTO and not is_exported(name)
    model, engine = choose_file(name, TORCH if is_torch else options.engine)
    chosen = DetectOptions(options.threshold, options.median, postprocessing=options.postprocessing)
    create_stream = partial(
        Stream,
        open_detector(model, engine=engine),
        sample_rate=options.rate,
        hop_s=options.hop,
        lookahead_s=options.lookahead,
    )
    stream = create_stream()
    rule = chosen.rule(stream.detector)
    selection = Selection(stream.detector.classes, options.only, options.ignore, options.cool_down)
    late_s = stream.latency_s + rule.chain.look_ahead_s(stream.detector.grid.hop_s) + BLOCK_S
    source = create_source(options, stream, channel)
    sinks = create_sinks(options, stream, selection, broker, Path(name).name, late_s)
    print(
        f"listening at {stream.sample_rate} Hz; "
        f"an event is printed {late_s:.2f} s after its end at the latest, computing left out",
        file=sys.stderr,
    )
    if rule.note:
        print(rule.note, file=sys.stderr)
    listener = Listener(source, create_stream, rule, selection, sinks)
    with ended_by_signal() as is_ended:
        listener.run(is_ended)
    if listener.heard_s:
        print(
            f"heard {listener.heard_s:.1f} s; computing took {listener.computing_s:.1f} s, "
            f"real-time factor {listener.computing_s / listener.heard_s:.3f}",
            file=sys.stderr,
        )
    return 0


@contextlib.contextmanager
def ended_by_signal() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C or SIGTERM came: one ends the sound, with its events passed on; two end the program."""
    come: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:  # noqa: ARG001 (a handler's signature)
        come.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(come)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
