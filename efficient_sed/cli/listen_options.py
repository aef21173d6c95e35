"""What `efficient-sed listen` takes: options, the sources and sinks that they name, and which go together."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.audio.encoded import parse_channel
from efficient_sed.cli.options import typed_path
from efficient_sed.errors import ConfigError
from efficient_sed.inference.sinks.broker import PASSWORD_VARIABLE, Broker, import_client
from efficient_sed.inference.sinks.lines import LINES
from efficient_sed.inference.sources.raw import SAMPLE_TYPES, RawSource

if TYPE_CHECKING:
    from efficient_sed.inference.live_selection import Selection
    from efficient_sed.inference.sinks.contract import Sink
    from efficient_sed.inference.sources.contract import Source
    from efficient_sed.inference.stream import Stream

STANDARD_INPUT = "-"


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add what is listened to."""
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


def add_sinks(parser: argparse.ArgumentParser) -> None:
    """Add which events are passed on, and to what."""
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
        type=typed_path,
        metavar="FILE",
        help=f"the user's password; else that of the environment variable {PASSWORD_VARIABLE}",
    )
    parser.add_argument("--clips", type=typed_path, metavar="DIR", help="write the sound of each event there, as FLAC")
    parser.add_argument(
        "--margin", type=float, metavar="SECONDS", help="sound of a clip before and after its event (default: 1.0)"
    )
    parser.add_argument("--keep-gb", type=float, metavar="GB", help="remove the oldest clips beyond this size")


def check_options(options: argparse.Namespace) -> int | None:
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


def create_source(options: argparse.Namespace, stream: Stream, channel: int | None) -> Source:
    """What is listened to.

    Args:
        options: Checked ones.
        stream: One of those that score its sound.
        channel: Result of `check_options`.

    Raises:
        ConfigError: If an address is malformed, or ffmpeg is not installed.
        DataError: If a recording cannot be read.
        MissingDependencyError: Without a package that it needs.
    """
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


def create_sinks(
    options: argparse.Namespace, stream: Stream, selection: Selection, broker: Broker | None, model: str, late_s: float
) -> list[Sink]:
    """What takes events.

    Args:
        options: Checked ones.
        stream: One of those that score the sound.
        selection: Which events are passed on.
        broker: Result of `parse_broker`.
        model: Name of the model.
        late_s: Seconds after its onset at which an event is known at the latest.
    """
    sinks: list[Sink] = [LINES[options.format](sys.stdout)]
    if options.clips is not None:
        from efficient_sed.inference.sinks.clips import Clips

        keep_bytes = None if options.keep_gb is None else options.keep_gb * 1e9
        margin_s = 1.0 if options.margin is None else options.margin
        sinks.append(Clips(options.clips, stream.sample_rate, late_s, margin_s, keep_bytes))
    if broker is not None:
        from efficient_sed.inference.sinks.mqtt import Mqtt

        sinks.append(Mqtt(broker, selection.labels, model))
    return sinks


def parse_broker(options: argparse.Namespace) -> Broker | None:
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
