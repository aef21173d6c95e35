"""`efficient-sed listen`: events in sound that is still going on, from the standard input or a microphone."""

from __future__ import annotations

import argparse
import contextlib
import logging
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any, BinaryIO

from efficient_sed.audio.encoded import parse_channel, warn_once
from efficient_sed.cli.options import add_detector, chosen_model
from efficient_sed.cli.parser import Commands
from efficient_sed.errors import ConfigError, DataError, MissingDependencyError

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)
SAMPLE_TYPES = {"s16le": ("<i2", 2**15), "s32le": ("<i4", 2**31), "f32le": ("<f4", 1)}
FILE_HEADERS = {b"RIFF": "a wav", b"fLaC": "a flac", b"OggS": "an ogg", b"ID3\x03": "an mp3", b"ID3\x04": "an mp3"}
BLOCK_S = 0.1


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "listen",
        run,
        "Print sound events while they happen, from raw samples on the standard input or a microphone.",
        examples=("listen --microphone", "listen --model fmn10+tf-256_strong --rate 48000 --channels 2 < samples.raw"),
    )
    add_detector(parser)
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
    parser.add_argument(
        "--microphone", action="store_true", help="read the microphone instead; needs the package sounddevice"
    )
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


def run(options: argparse.Namespace) -> int:
    """Print onset, offset, label and score of each event, tab-separated, as soon as it has ended."""
    from efficient_sed.inference.detect import open_detector
    from efficient_sed.inference.detect_options import DetectOptions
    from efficient_sed.inference.stream import Stream

    channel = _check(options)
    chosen = DetectOptions(options.threshold, options.median, postprocessing=options.postprocessing)
    stream = Stream(
        open_detector(chosen_model(options.model), engine=options.engine),
        sample_rate=options.rate,
        hop_s=options.hop,
        lookahead_s=options.lookahead,
    )
    rule = chosen.rule(stream.detector)
    chunks = (
        microphone(stream.sample_rate)
        if options.microphone
        else read_samples(sys.stdin.buffer, stream.sample_rate, options.channels, options.samples, channel)
    )
    late_s = stream.latency_s + rule.chain.look_ahead_s(stream.detector.grid.hop_s) + BLOCK_S
    print(
        f"listening at {stream.sample_rate} Hz; "
        f"an event is printed {late_s:.2f} s after its end at the latest, computing left out",
        file=sys.stderr,
    )
    if rule.note:
        print(rule.note, file=sys.stderr)
    with ended_by_interrupt() as is_ended:
        heard = takewhile(lambda _: not is_ended(), chunks)
        for event in stream.events(heard, chosen.threshold, chosen.median_frames, chosen.postprocessing):
            print(f"{event.onset_s:.2f}\t{event.offset_s:.2f}\t{event.label}\t{event.score:.4f}", flush=True)
    if stream.heard_s:
        print(
            f"heard {stream.heard_s:.1f} s; computing took {stream.computing_s:.1f} s, "
            f"real-time factor {stream.computing_s / stream.heard_s:.3f}",
            file=sys.stderr,
        )
    return 0


def _check(options: argparse.Namespace) -> int | None:
    """Check that the options go together; returns the channel that is scored, None for the mean of all.

    Raises:
        ConfigError: If they do not.
    """
    if options.channels < 1:
        raise ConfigError(f"--channels {options.channels} is not allowed: 1 or more")
    if options.microphone and (options.channels, options.samples) != (1, "s16le"):
        raise ConfigError("--channels and --samples are for the standard input; the microphone has one channel")
    channel = parse_channel(options.channel, "--channel")
    if channel is not None and channel > options.channels:
        raise ConfigError(
            f"--channel {options.channel} is not allowed: --channels says that there are {options.channels}"
        )
    return channel


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C was pressed: once ends the sound, whose events are still printed; twice ends the program."""
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001 (a handler's signature)
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def read_samples(
    source: BinaryIO, sample_rate: int, channels: int, sample_type: str, channel: int | None = None
) -> Iterator[np.ndarray]:
    """Read raw samples in chunks; an unfinished last sample is left out.

    Args:
        source: Raw samples, channel by channel.
        sample_rate: In Hz.
        channels: How many there are.
        sample_type: A name of `SAMPLE_TYPES`.
        channel: Which one is read, counted from 1; default None, the mean of all.

    Yields:
        Chunks of 0.1 s or less, shape (samples,), float32 in [-1, 1].

    Raises:
        DataError: If there is nothing, an audio file instead of raw samples, or a sample that is no number.
    """
    import numpy as np

    from efficient_sed.audio.io import any_cancelled

    dtype, scale = SAMPLE_TYPES[sample_type]
    size = np.dtype(dtype).itemsize * channels
    rest, is_first = b"", True
    while block := source.read1(max(size, round(BLOCK_S * sample_rate) * size)):  # type: ignore[attr-defined]
        if is_first and (kind := FILE_HEADERS.get(block[:4])):
            raise DataError(
                f"the standard input is {kind} file, listen takes raw samples; give the file to: efficient-sed detect -"
            )
        is_first, rest = False, rest + block
        whole = len(rest) // size * size
        frames = np.frombuffer(rest[:whole], dtype).reshape(-1, channels)
        rest = rest[whole:]
        if not np.isfinite(frames).all():
            raise DataError(
                "the standard input holds a sample that is no number; "
                f"is --samples {sample_type} what it was written as?"
            )
        mono = frames.mean(axis=1, dtype=np.float32) if channel is None else frames[:, channel - 1].astype(np.float32)
        mono /= np.float32(scale)
        if channel is None and channels > 1 and any_cancelled(frames / np.float32(scale), mono, sample_rate):
            warn_once(
                "the standard input: its channels cancel in their mean, as if one were inverted; "
                "choose one by --channel"
            )
        yield mono
    if is_first:
        raise DataError(
            "the standard input is empty; give raw samples, such as: "
            "ffmpeg -i IN -f s16le -ac 1 -ar 16000 - | efficient-sed listen"
        )


def microphone(sample_rate: int) -> Iterator[np.ndarray]:
    """Read the default microphone without end.

    Args:
        sample_rate: In Hz.

    Yields:
        Chunks of 0.1 s, shape (samples,), float32 in [-1, 1].

    Raises:
        MissingDependencyError: Without the package sounddevice.
        DataError: If there is no microphone, or it does not know the rate.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: without the library PortAudio
        raise MissingDependencyError("--microphone", "sounddevice", "microphone") from error
    blocks: queue.Queue[Any] = queue.Queue()
    lost = threading.Event()

    def take(block: Any, frames: int, when: Any, status: Any) -> None:  # noqa: ARG001 (sounddevice's signature)
        if status.input_overflow:
            lost.set()
        blocks.put(block[:, 0].copy())

    try:
        with sounddevice.InputStream(
            sample_rate, round(BLOCK_S * sample_rate), channels=1, dtype="float32", callback=take
        ):
            while True:
                yield blocks.get()
                if lost.is_set():
                    logger.warning(
                        "the machine is too slow or too busy: sound was lost, times from here on are too early"
                    )
                    lost.clear()
    except sounddevice.PortAudioError as error:
        raise DataError(
            f"the microphone cannot be read at {sample_rate} Hz ({error}); give another rate as --rate HZ"
        ) from error
