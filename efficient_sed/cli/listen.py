"""`efficient-sed listen`: events in sound that is still going on, from a microphone, a camera, or any pipe."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.audio.encoded import parse_channel
from efficient_sed.cli.options import add_detector, chosen_model
from efficient_sed.cli.parser import Commands
from efficient_sed.errors import ConfigError
from efficient_sed.inference.sinks.lines import LINES
from efficient_sed.inference.sinks.mqtt import PASSWORD_VARIABLE, Broker, Mqtt, import_client
from efficient_sed.inference.sources.contract import BLOCK_S
from efficient_sed.inference.sources.raw import SAMPLE_TYPES, RawSource

if TYPE_CHECKING:
    from efficient_sed.inference.live_selection import Selection
    from efficient_sed.inference.sinks.contract import Sink
    from efficient_sed.inference.sources.contract import Source
    from efficient_sed.inference.stream import Stream

STANDARD_INPUT = "-"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "listen",
        run,
        "Print sound events while they happen, from a microphone, a camera, a pipe or a file.",
        examples=(
            "listen --microphone",
            "listen rtsp://camera/stream --only dog,siren --clips clips --keep-gb 10",
            "listen --microphone --format jsonl --mqtt mqtt://user@broker/garden",
            "listen --model fmn10+tf-256_strong --rate 48000 --channels 2 < samples.raw",
        ),
    )
    _add_source(parser)
    add_detector(parser)
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
    _add_sinks(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="?",
        default=STANDARD_INPUT,
        metavar="SOURCE",
        help="an address that ffmpeg reads, such as rtsp://…, opened again whenever it breaks off; a recording; "
        "or -, raw samples on the standard input",
    )
    parser.add_argument(
        "--microphone", action="store_true", help="read the microphone instead; needs the package sounddevice"
    )
    parser.add_argument(
        "--ffmpeg",
        metavar="OPTIONS",
        help="read SOURCE by ffmpeg, whatever it is, with these options before its -i, such as --ffmpeg='-f alsa'",
    )
    parser.add_argument("--rate", type=int, metavar="HZ", help="sample rate of the sound (default: the model's)")
    parser.add_argument("--channels", type=int, default=1, help="channels of the standard input, sample by sample")
    parser.add_argument(
        "--channel", default="mix", help="which of them is scored: mix (the mean of all), first, or a number from 1"
    )
    parser.add_argument(
        "--samples",
        choices=sorted(SAMPLE_TYPES),
        default="s16le",
        help="type of a sample on the standard input, by ffmpeg's names",
    )


def _add_sinks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="CLASSES", help="pass on events of these classes alone, joined by commas")
    parser.add_argument("--ignore", metavar="CLASSES", help="pass on no events of these classes, joined by commas")
    parser.add_argument(
        "--cool-down",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="pass on no further event of a class for so long after one",
    )
    parser.add_argument(
        "--format",
        choices=sorted(LINES, reverse=True),
        default="tsv",
        help="of a line on the standard output: tsv, or jsonl with time of day, source and gaps",
    )
    parser.add_argument(
        "--mqtt",
        metavar="URL",
        help="send events to a broker, where Home Assistant finds them: mqtt://[USER@]HOST[:PORT]/TOPIC; "
        "needs the package paho-mqtt",
    )
    parser.add_argument(
        "--mqtt-password-file",
        type=Path,
        metavar="FILE",
        help=f"the user's password; else that of the environment variable {PASSWORD_VARIABLE}",
    )
    parser.add_argument("--clips", type=Path, metavar="DIR", help="write the sound of each event there, as FLAC")
    parser.add_argument(
        "--margin", type=float, metavar="SECONDS", help="sound of a clip before and after its event (default: 1.0)"
    )
    parser.add_argument("--keep-gb", type=float, metavar="GB", help="remove the oldest clips beyond this size")


def run(options: argparse.Namespace) -> int:
    """Pass on each event as soon as it has ended; the standard output has onset, offset, label and score of each."""
    from efficient_sed.inference.detect import open_detector
    from efficient_sed.inference.detect_options import DetectOptions
    from efficient_sed.inference.listener import Listener
    from efficient_sed.inference.live_selection import Selection
    from efficient_sed.inference.stream import Stream

    channel, broker = _check(options), _parse_broker(options)
    chosen = DetectOptions(options.threshold, options.median, postprocessing=options.postprocessing)
    create_stream = partial(
        Stream,
        open_detector(name := chosen_model(options.model), engine=options.engine),
        sample_rate=options.rate,
        hop_s=options.hop,
        lookahead_s=options.lookahead,
    )
    stream = create_stream()
    rule = chosen.rule(stream.detector)
    selection = Selection(stream.detector.classes, options.only, options.ignore, options.cool_down)
    late_s = stream.latency_s + rule.chain.look_ahead_s(stream.detector.grid.hop_s) + BLOCK_S
    source = _create_source(options, stream, channel)
    sinks = _create_sinks(options, stream, selection, broker, Path(name).name, late_s)
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


def _check(options: argparse.Namespace) -> int | None:
    """Check that the options go together; returns the channel that is scored, None for the mean of all.

    Raises:
        ConfigError: If they do not.
    """
    is_raw = options.source == STANDARD_INPUT and not options.microphone and options.ffmpeg is None
    if options.channels < 1:
        raise ConfigError(f"--channels {options.channels} is not allowed: 1 or more")
    if options.microphone and options.source != STANDARD_INPUT:
        raise ConfigError(f"--microphone and {options.source} are two sources; give one")
    if options.ffmpeg is not None and options.source == STANDARD_INPUT:
        raise ConfigError("--ffmpeg needs what it shall read, such as: listen rtsp://HOST/PATH")
    if not is_raw and (options.channels, options.samples) != (1, "s16le"):
        why = "the microphone has one channel" if options.microphone else "other sources say their own"
        raise ConfigError(f"--channels and --samples are for the standard input; {why}")
    channel = parse_channel(options.channel, "--channel")
    if channel is not None and (is_raw or options.microphone) and channel > options.channels:
        raise ConfigError(
            f"--channel {options.channel} is not allowed: --channels says that there are {options.channels}"
        )
    if options.mqtt is None and options.mqtt_password_file is not None:
        raise ConfigError("--mqtt-password-file needs --mqtt URL")
    for option, value in (("--keep-gb", options.keep_gb), ("--margin", options.margin)):
        if value is not None and options.clips is None:
            raise ConfigError(f"{option} needs --clips DIR")
    if options.keep_gb is not None and not options.keep_gb > 0:
        raise ConfigError(f"--keep-gb {options.keep_gb:g} is not allowed: more than 0")
    if options.margin is not None and not 0 <= options.margin <= 60:
        raise ConfigError(f"--margin {options.margin:g} is not allowed: 0 to 60 s")
    if options.clips is not None and options.clips.exists() and not options.clips.is_dir():
        raise ConfigError(f"--clips {options.clips} is not allowed: it is no folder")
    return channel


def _create_source(options: argparse.Namespace, stream: Stream, channel: int | None) -> Source:
    if options.microphone:
        from efficient_sed.inference.sources.microphone import MicrophoneSource

        return MicrophoneSource(stream.sample_rate)
    if options.ffmpeg is not None or "://" in options.source:
        from efficient_sed.inference.sources.ffmpeg import FfmpegSource

        return FfmpegSource(options.source, stream.sample_rate, channel, options.ffmpeg)
    if options.source != STANDARD_INPUT:
        from efficient_sed.inference.sources.recording import RecordingSource

        return RecordingSource(Path(options.source), stream.sample_rate, channel)
    return RawSource(stream.sample_rate, options.channels, options.samples, channel)


def _create_sinks(
    options: argparse.Namespace, stream: Stream, selection: Selection, broker: Broker | None, model: str, late_s: float
) -> list[Sink]:
    sinks: list[Sink] = [LINES[options.format](sys.stdout)]
    if options.clips is not None:
        from efficient_sed.inference.sinks.clips import Clips

        keep_bytes = None if options.keep_gb is None else options.keep_gb * 1e9
        margin_s = 1.0 if options.margin is None else options.margin
        sinks.append(Clips(options.clips, stream.sample_rate, late_s, margin_s, keep_bytes))
    if broker is not None:
        sinks.append(Mqtt(broker, selection.labels, model))
    return sinks


def _parse_broker(options: argparse.Namespace) -> Broker | None:
    """Where `--mqtt` sends to, None without it.

    Raises:
        ConfigError: If address or password cannot be used.
        MissingDependencyError: Without the package paho-mqtt.
    """
    if options.mqtt is None:
        return None
    broker = Broker.parse(options.mqtt, _password(options.mqtt_password_file))
    import_client()
    return broker


def _password(file: Path | None) -> str | None:
    """The password of the broker's user: a file's first line, or of the environment.

    Raises:
        ConfigError: If the file cannot be read.
    """
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        return file.read_text(encoding="utf-8").split("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"--mqtt-password-file {file}: cannot be read ({reason})") from error


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
