"""A day of `efficient-sed listen`: is an event lost or doubled, does memory grow?

python benchmarks/listen_day.py [--hours 24] [--breaks 6] [--restarts 2] [--seed 0] [--folder DIR]

Generated sound goes as fast as it is scored through ffmpeg, from a TCP port, into the command in a process of its own.
The sound breaks off `--breaks` times an hour at random places, and the next attempts to open it may fail. The MQTT
broker restarts `--restarts` times an hour, and each hour the folder of clips cannot be written for a while. Then all
events are compared with those of `detect` on the same samples: in the JSON lines, by MQTT and as clips. The model
measures loudness in two bands, so that both ways must find the same to within two frames. Exit status 1 if an event is
lost or doubled, or memory grows by more than 16 MiB. MQTT sends "at least once" (QoS 1): an event whose confirmation a
restart of the broker swallowed comes twice under one id, which is counted and allowed once a restart. Needs ffmpeg,
mosquitto and paho-mqtt.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from reliability.long_audio import ALLOWED_MIB, PAGE_MIB
from torch import Tensor, nn

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.model import BackboneConfig
from efficient_sed.data.events import Event
from efficient_sed.export.write import export_model
from efficient_sed.inference.detect import detect, open_detector
from efficient_sed.inference.sinks.broker import import_client
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.hysteresis import Hysteresis
from efficient_sed.registry import SEQUENCE_HEADS

TONES_HZ = {"low": 300, "high": 3000}
SCENE_S = 10.0
ALLOWED_S = 0.08
"""Two frames: a stream pads its end with silence, a window of `detect` mirrors it."""
HOP_S = 4.0
PATIENCE_S = 30.0
TOPIC = "listen/day"
WRITTEN, REFUSED = "written", "refused"
"""A folder, and a file in its place."""


class Bands(Backbone):
    """Features of each step: the mean level of four bands in its own four frames alone."""

    out_dim, time_stride = 4, 4

    def forward(self, mel: Tensor) -> Tensor:
        levels = nn.functional.avg_pool2d(mel, (32, 4), ceil_mode=True)
        return levels[:, 0].transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        return []


class BandsConfig(BackboneConfig):
    name = "bands"

    def build(self) -> Backbone:
        return Bands()


def create_loudness_model() -> SedModel:
    """A model that finds the two tones by the level of their bands, with hysteresis."""
    model = SedModel(ModelSpec(BandsConfig(), SEQUENCE_HEADS.get("none")(), tuple(TONES_HZ))).eval()
    chain = Chain((Hysteresis(low=0.4, min_event_s=0.2, max_gap_s=0.2),))
    own = Postprocessing(chain, chain, thresholds=(0.5, 0.5), hop_s=model.grid.hop_s)
    model.provenance = Provenance(SCENE_S, 1, postprocessing=own.to_dict())
    rng = np.random.default_rng(0)
    with torch.no_grad():
        quiet, *loud = (
            model.backbone(model.frontend(torch.from_numpy(sound)[None]))[0, 10:-10].mean(0)
            for sound in (noise(rng, 2.0), *(noise(rng, 2.0) + tone(hz, 2.0) for hz in TONES_HZ.values()))
        )
        bands = torch.stack([level - quiet for level in loud])
        column = bands.argmax(1)  # the band of each tone
        layer = model.classifier.get_submodule("strong")
        assert isinstance(layer, nn.Linear)
        layer.weight.zero_()
        for row, band in enumerate(column):
            slope = 12 / float(bands[row, band])
            layer.weight[row, band] = slope
            layer.bias[row] = -slope * float(quiet[band] + bands[row, band] / 2)
    return model


def noise(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Quiet noise, float32 (samples,)."""
    return (1e-4 * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def tone(hz: int, seconds: float) -> np.ndarray:
    """A tone with short slopes, float32 (samples,)."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    slopes = np.minimum(1, np.minimum(time_s, seconds - time_s) / 0.005)
    sound: np.ndarray = 0.2 * slopes * np.sin(2 * np.pi * hz * time_s)
    return sound.astype(np.float32)


def scenes(seed: int, total_s: float) -> Iterator[np.ndarray]:
    """16-bit sound (samples,) in scenes of 10 s, each with a few tones."""
    rng = np.random.default_rng(seed)
    for _ in range(round(total_s / SCENE_S)):
        scene = noise(rng, SCENE_S)
        for hz in TONES_HZ.values():
            for begin_s in (0.0, SCENE_S / 2):
                if rng.random() < 0.5:
                    sound = tone(hz, rng.uniform(0.4, 3.0))
                    first = round((begin_s + rng.uniform(0.2, 1.5)) * SAMPLE_RATE)
                    scene[first : first + len(sound)] += sound
        yield np.rint(scene * 32767).astype("<i2")


def cut(seed: int, total_s: float, num_breaks: int) -> list[int]:
    """Lengths in samples of the pieces between breaks."""
    total = round(total_s / SCENE_S) * round(SCENE_S * SAMPLE_RATE)
    places = np.sort(np.random.default_rng([seed, 1]).integers(1, total, num_breaks))
    return [int(length) for length in np.diff([0, *places, total])]


class SoundServer(threading.Thread):
    """Gives raw sound on a TCP port, piece by piece: one for each connection, and then none for a moment."""

    def __init__(self, seed: int, total_s: float, lengths: list[int]) -> None:
        super().__init__(daemon=True)
        self._scenes, self._lengths = scenes(seed, total_s), lengths
        self._rng = np.random.default_rng([seed, 2])
        self.port = free_port()
        self.num_sent = 0
        self.is_done = False

    def run(self) -> None:
        left = np.zeros(0, "<i2")
        for length in self._lengths:
            with socket.create_server(("127.0.0.1", self.port)) as server:
                connection, _ = server.accept()
            with connection:
                missing = length
                while missing:
                    left = left if len(left) else next(self._scenes)
                    piece, left = left[:missing], left[missing:]
                    connection.sendall(piece.tobytes())
                    missing -= len(piece)
                    self.num_sent += len(piece)
            if self._rng.random() < 0.2:
                time.sleep(1.5)  # the next attempt fails
        self.is_done = True


class Mosquitto:
    """A broker that remembers its subscribers when it restarts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nuser {getpass.getuser()}\n"
        )
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(find_mosquitto()), "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait()


class Subscriber:
    """Takes every event that the broker passes on."""

    def __init__(self, port: int) -> None:
        client = import_client()
        self.ids: Counter[str] = Counter()
        self.num_again = 0
        self.client: Any = client.Client(client.CallbackAPIVersion.VERSION2, "subscriber", clean_session=False)
        self.is_subscribed = threading.Event()
        self.client.on_connect = lambda connected, *_: connected.subscribe(f"{TOPIC}/event", qos=1)
        self.client.on_subscribe = lambda *_: self.is_subscribed.set()
        self.client.on_message = self._take
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        assert self.is_subscribed.wait(PATIENCE_S)

    def _take(self, _: Any, __: Any, message: Any) -> None:
        if message.dup:  # the broker did not get this subscriber's confirmation
            self.num_again += 1
        self.ids[json.loads(message.payload)["id"]] += not message.dup


class Outcome(NamedTuple):
    """What came of a day."""

    hours: float
    seconds: float
    num_events: int
    """Of `detect`."""
    lost: list[Event]
    doubled: list[Event]
    """Found live and not by `detect`, once too often or at all."""
    num_gaps: int
    lost_by_mqtt: set[str]
    doubled_by_mqtt: set[str]
    num_restarts: int
    """Of the broker."""
    num_again: int
    """Marked by the broker as sent before."""
    num_ids: int
    """Of events; two may begin in one millisecond, as this sound is faster than time goes by, and share a clip."""
    num_clips: int
    clips_missing: int
    """As the command counts them."""
    memory: list[tuple[float, float]]
    """Hours of sound and MiB."""
    said: str
    """Standard error of the command."""

    def growth_mib(self) -> float:
        """From the first twelfth to the end."""
        hours, mib = np.array(self.memory).T
        return float(mib[-1] - np.interp(hours[-1] / 12, hours, mib))

    def problems(self) -> list[str]:
        """What should not be."""
        found = {
            "lost": self.lost,
            "doubled": self.doubled,
            "lost by MQTT": self.lost_by_mqtt,
            "doubled by MQTT": self.doubled_by_mqtt if len(self.doubled_by_mqtt) > self.num_restarts else (),
        }
        named = [f"{name}: {len(items)}, such as {next(iter(items))}" for name, items in found.items() if items]
        clips = f"{self.num_clips} clips and {self.clips_missing} said to be missing"
        if not self.num_ids <= self.num_clips + self.clips_missing <= self.num_events:
            named.append(f"{self.num_events} events, {self.num_ids} of them with an id of their own, {clips}")
        return named


def listen_long(folder: Path, hours: float, num_breaks: int, num_restarts: int, num_full: int, seed: int) -> Outcome:
    """Run the command on the sound of some hours."""
    model = export_model(create_loudness_model(), folder / "loudness.onnx", "loudness").path
    lengths = cut(seed, 3600 * hours, num_breaks)
    server, broker = SoundServer(seed, 3600 * hours, lengths), Mosquitto(folder)
    subscriber = Subscriber(broker.port)
    command = [sys.executable, "-m", "efficient_sed", "listen", f"tcp://127.0.0.1:{server.port}"]
    command += [f"--ffmpeg=-f s16le -ar {SAMPLE_RATE} -ac 1", "--model", str(model), "--hop", str(HOP_S)]
    command += ["--format", "jsonl", "--mqtt", f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", "--clips", f"{folder}/clips"]
    (folder / WRITTEN).mkdir()
    (folder / REFUSED).touch()
    point(folder / "clips", WRITTEN)
    begun = time.perf_counter()
    server.start()
    with (folder / "said").open("wb") as said, (folder / "lines").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=said)
        memory = follow(process, server, broker, folder / "clips", hours, num_restarts, num_full)
        assert wait_until(lambda: count_breaks(folder) == len(lengths), PATIENCE_S), (folder / "said").read_text()
        seconds = time.perf_counter() - begun
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, (folder / "said").read_text()
    lines = [json.loads(line) for line in (folder / "lines").read_text().splitlines()]
    live = [line for line in lines if line["type"] == "event"]
    wait_until(lambda: len(subscriber.ids) >= len(live), 5.0)
    subscriber.client.disconnect()
    subscriber.client.loop_stop()
    broker.stop()
    expected = detect_pieces(folder, model, seed, hours, lengths)
    lost, doubled = compare(
        expected, [Event(line["onset_s"], line["offset_s"], line["label"], line["score"]) for line in live]
    )
    text, ids = (folder / "said").read_text(), Counter(line["id"] for line in live)
    return Outcome(
        hours,
        seconds,
        len(expected),
        lost,
        doubled,
        sum(line["type"] == "gap" and line["end"] is not None for line in lines),
        set(ids) - set(subscriber.ids),
        set(subscriber.ids - ids),
        num_restarts,
        subscriber.num_again,
        len(ids),
        len(list((folder / WRITTEN).glob("*.flac"))),
        sum(map(int, re.findall(r"(\d+) are missing", text))),
        memory,
        text,
    )


def follow(
    process: subprocess.Popen[bytes], server: SoundServer, broker: Mosquitto, clips: Path, hours: float,
    num_restarts: int, num_full: int,
) -> list[tuple[float, float]]:  # fmt: skip
    """Restart the broker and refuse clips while the sound goes on; returns the memory."""
    restarts = [(index + 0.5) / num_restarts * hours for index in range(num_restarts)]
    full = [((index + 0.3) / num_full * hours, (index + 0.4) / num_full * hours) for index in range(num_full)]
    memory: list[tuple[float, float]] = []
    is_full = False
    while not server.is_done:
        assert process.poll() is None, clips.with_name("said").read_text()
        now = server.num_sent / SAMPLE_RATE / 3600
        pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1])
        if not memory or now - memory[-1][0] > hours / 200:
            memory.append((now, pages * PAGE_MIB))
        if restarts and now >= restarts[0]:
            restarts.pop(0)
            broker.stop()
            time.sleep(1.0)
            broker.start()
        if full and now >= full[0][is_full]:
            is_full = not is_full
            point(clips, REFUSED if is_full else WRITTEN)
            full = full if is_full else full[1:]
        time.sleep(0.02)
    point(clips, WRITTEN)
    return memory


def point(link: Path, target: str) -> None:
    """Let a link lead to another place beside it, from one moment to the next."""
    new = link.with_name("new")
    new.symlink_to(target)
    new.replace(link)


def count_breaks(folder: Path) -> int:
    """How often the command said that the sound broke off; at the end of all of it, too."""
    return (folder / "said").read_text().count("no sound any more (")


def detect_pieces(folder: Path, model: Path, seed: int, hours: float, lengths: list[int]) -> list[Event]:
    """Events of `detect` on each piece of the sound, in seconds of all sound."""
    detector, path = open_detector(model, num_threads=1), folder / "piece.wav"
    events: list[Event] = []
    sound, left, before_s = scenes(seed, 3600 * hours), np.zeros(0, "<i2"), 0.0
    for length in lengths:
        missing = length
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16") as file:
            while missing:
                left = left if len(left) else next(sound)
                piece, left = left[:missing], left[missing:]
                file.write(piece)
                missing -= len(piece)
        events += [
            event._replace(onset_s=event.onset_s + before_s, offset_s=event.offset_s + before_s)
            for event in detect(path, detector)
        ]
        before_s += length / SAMPLE_RATE
    return events


def compare(expected: list[Event], live: list[Event]) -> tuple[list[Event], list[Event]]:
    """Events that have no counterpart in the other list, which each event is only once."""
    left = sorted(live)
    lost = []
    for event in sorted(expected):
        near = (
            other
            for other in left
            if other.label == event.label
            and abs(other.onset_s - event.onset_s) <= ALLOWED_S
            and abs(other.offset_s - event.offset_s) <= ALLOWED_S
        )
        if (match := next(near, None)) is None:
            lost.append(event)
        else:
            left.remove(match)
    return lost, left


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def find_mosquitto() -> str | None:
    """The program, which Debian puts where ordinary users do not look."""
    return shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def wait_until(is_true: Any, seconds: float) -> bool:
    """Wait for a condition; returns whether it came true."""
    until = time.monotonic() + seconds
    while not is_true() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(is_true())


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--breaks", type=float, default=6, help="of the source, an hour")
    parser.add_argument("--restarts", type=float, default=2, help="of the broker, an hour")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to put files")
    options = parser.parse_args()
    for program, path in (("ffmpeg", shutil.which("ffmpeg")), ("mosquitto", find_mosquitto())):
        if path is None:
            parser.error(f"needs the program {program}: apt-get install {program}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        breaks, restarts, full = (max(1, round(options.hours * each)) for each in (options.breaks, options.restarts, 1))
        outcome = listen_long(Path(folder), options.hours, breaks, restarts, full, options.seed)
    print(
        "| h | times real time | events | gaps | sent again | twice by MQTT | clips | left out "
        "| MiB at 1/24 | 1/4 | 1/2 | 3/4 | end |"
    )
    print("|---:|" + "---:|" * 12)
    hours, mib = np.array(outcome.memory).T
    shown = [f"{np.interp(share * hours[-1], hours, mib):.1f}" for share in (1 / 24, 1 / 4, 1 / 2, 3 / 4, 1)]
    row = [f"{outcome.hours:g}", f"{3600 * outcome.hours / outcome.seconds:.0f}", outcome.num_events, outcome.num_gaps]
    row += [outcome.num_again, len(outcome.doubled_by_mqtt), outcome.num_clips, outcome.clips_missing, *shown]
    print(f"| {' | '.join(map(str, row))} |")
    for problem in outcome.problems():
        print(problem)
    if has_grown := outcome.growth_mib() > ALLOWED_MIB:
        print(f"memory grew by {outcome.growth_mib():.1f} MiB")
    return int(has_grown or bool(outcome.problems()))


if __name__ == "__main__":
    sys.exit(main())
