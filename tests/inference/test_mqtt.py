"""Events by MQTT, against a real broker that comes late, is killed, and refuses."""

from __future__ import annotations

import getpass
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from listen_day import find_mosquitto, free_port, wait_until
from live_parts import event

from efficient_sed.errors import ConfigError, MissingDependencyError
from efficient_sed.inference.live_events import Gap
from efficient_sed.inference.sinks import mqtt as module
from efficient_sed.inference.sinks.broker import Broker, import_client
from efficient_sed.inference.sinks.home_assistant import create_slugs
from efficient_sed.inference.sinks.mqtt import Mqtt

TOPIC = "garden/mic"
NODE = "homeassistant/binary_sensor/garden_mic"
SECONDS = 10.0
needs_broker = pytest.mark.skipif(
    find_mosquitto() is None, reason="the broker mosquitto is not installed: apt-get install mosquitto"
)


class Server:
    """A broker that can be killed."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port, self._config = free_port(), folder / "mosquitto.conf"
        own = [f"listener {self.port} 127.0.0.1", f"user {getpass.getuser()}"]
        self._config.write_text("\n".join([*own, *(lines or ["allow_anonymous true"])]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(find_mosquitto()), "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def is_there() -> bool:
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", self.port)) == 0

        assert wait_until(is_there, SECONDS)

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Subscriber:
    """Keeps all that a broker passes on; connects again at once."""

    def __init__(self, port: int) -> None:
        client = pytest.importorskip("paho.mqtt.client")
        self.messages: list[tuple[str, str, bool]] = []
        self._here = threading.Event()
        self._client: Any = client.Client(client.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _, __, got: self.messages.append((got.topic, got.payload.decode(), got.retain))
        self._client.on_subscribe = lambda *_: self._here.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()
        assert self._here.wait(SECONDS)

    def last(self, topic: str) -> str | None:
        return next((content for name, content, _ in reversed(self.messages) if name == topic), None)

    def ids(self) -> list[str]:
        return [json.loads(content)["id"] for topic, content, _ in self.messages if topic == f"{TOPIC}/event"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def subscribe() -> Iterator[Callable[[Server], Subscriber]]:
    made: list[Subscriber] = []

    def start(server: Server) -> Subscriber:
        made.append(Subscriber(server.port))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Mqtt]]:
    pytest.importorskip("paho.mqtt.client", reason="the package paho-mqtt is not installed: the extra mqtt")
    made: list[Mqtt] = []

    def start(server: Server, *labels: str, user: str = "") -> Mqtt:
        broker = Broker.parse(f"mqtt://{user}127.0.0.1:{server.port}/{TOPIC}", "secret" if user else None)
        sink = Mqtt(broker, labels or ("up", "down"), "loudness")
        sink._client.reconnect_delay_set(1, 1)
        made.append(sink)
        return sink

    yield start
    for sink in made:
        sink.close()


def happen(sink: Mqtt, *seconds: float) -> list[str]:
    """Pass on events; returns their ids."""
    events = [event("up", onset_s, onset_s + 0.5) for onset_s in seconds]
    for each in events:
        sink.start(each)
        sink.end(each)
    return [each.id for each in events]


@needs_broker
def test_home_assistant_finds_classes_and_their_states(
    server: Server, subscribe: Callable[[Server], Subscriber], connect: Callable[..., Mqtt]
) -> None:
    server.start()
    sink, before = connect(server, "up", "Male speech, man speaking"), subscribe(server)
    assert wait_until(lambda: before.last(f"{TOPIC}/status") == "offline", SECONDS)  # no sound so far
    sink.resume(None)
    sink.start(event("up", 3.0, 3.4))
    assert wait_until(lambda: before.last(f"{TOPIC}/up/state") == "ON", SECONDS)
    late = subscribe(server)  # Home Assistant starts again
    assert wait_until(lambda: late.last(f"{TOPIC}/up/state") == "ON", SECONDS)
    assert wait_until(lambda: len(late.messages) >= 7, SECONDS)
    assert all(is_retained for _, _, is_retained in late.messages)
    found = json.loads(str(late.last(f"{NODE}/male_speech_man_speaking/config")))
    assert found["name"] == "Male speech, man speaking"
    assert late.last(found["state_topic"]) == "OFF"
    assert late.last(found["availability_topic"]) == "online"
    other = json.loads(str(late.last(f"{NODE}/up/config")))
    assert other["unique_id"] != found["unique_id"]
    assert json.loads(str(late.last(other["json_attributes_topic"])))["offset_s"] == 3.4
    sink.end(event("up", 3.0, 4.5))
    assert wait_until(lambda: bool(before.ids()), SECONDS)
    assert before.last(f"{TOPIC}/up/state") == "OFF"
    told = json.loads(str(before.last(f"{TOPIC}/event")))
    entity = json.loads(str(late.last("homeassistant/event/garden_mic/event/config")))
    assert told["event_type"] in entity["event_types"]
    assert (told["id"], told["offset_s"], told["score"]) == ("20260101T000003.000Z_up", 4.5, 0.9)
    sink.lose(Gap(event().start, None, "cable out", "test"))
    assert wait_until(lambda: before.last(f"{TOPIC}/status") == "offline", SECONDS)


@needs_broker
def test_classes_of_an_earlier_call_are_taken_back(
    server: Server, subscribe: Callable[[Server], Subscriber], connect: Callable[..., Mqtt]
) -> None:
    server.start()
    kept = subscribe(server)
    before = connect(server, "up", "down")
    assert wait_until(lambda: bool(kept.last(f"{NODE}/down/config")), SECONDS)
    before.close()
    connect(server, "up")
    assert wait_until(lambda: kept.last(f"{NODE}/down/config") == "", SECONDS)
    assert kept.last(f"{NODE}/up/config")


@needs_broker
def test_a_broker_that_is_killed_and_comes_back(
    server: Server,
    subscribe: Callable[[Server], Subscriber],
    connect: Callable[..., Mqtt],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fits the queue comes once; of more it is said how many were dropped."""
    monkeypatch.setattr(module, "MAX_QUEUED", 20)
    caplog.set_level(logging.WARNING)
    server.start()
    sink, kept = connect(server), subscribe(server)
    sink.resume(None)
    ids = happen(sink, *range(5))
    assert wait_until(lambda: len(kept.ids()) == 5 and sink._num_waiting() == 0, SECONDS)
    server.send(signal.SIGSTOP)
    ids += happen(sink, *range(5, 10))  # on their way when it is killed
    server.kill()
    assert wait_until(lambda: not sink._client.is_connected(), SECONDS)
    ids += happen(sink, *range(10, 25))
    happen(sink, 25, 26, 27)
    sink.start(event("down", 28.0, 29.0))
    failed = threading.Event()
    sink._client.on_connect_fail = lambda *_: failed.set()
    assert failed.wait(SECONDS)  # the next attempt is a second away: time for the subscriber to be there first
    server.start()
    again = subscribe(server)
    assert wait_until(lambda: len(again.ids()) == 20 and sink._num_waiting() == 0, SECONDS)
    assert wait_until(lambda: again.last(f"{TOPIC}/down/state") == "ON", SECONDS)
    assert again.last(f"{TOPIC}/status") == "online"
    happen(sink, 30)
    assert wait_until(lambda: len(again.ids()) == 21, SECONDS)
    assert Counter(kept.ids() + again.ids()) == Counter([*ids, "20260101T000030.000Z_up"])
    name = f"MQTT broker 127.0.0.1:{server.port}"
    assert caplog.messages[0] == f"{name}: connected"
    away = "cannot be reached (the connection broke off); trying again, up to 20 events are kept"
    assert caplog.messages[1] == f"{name}: {away}"
    assert caplog.messages[2:] == [
        f"{name}: 20 events wait for it, more are dropped",
        f"{name}: connected; 3 events were dropped",
    ]


@needs_broker
def test_a_broker_that_is_away_at_the_start(
    server: Server,
    subscribe: Callable[[Server], Subscriber],
    connect: Callable[..., Mqtt],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    sink = connect(server)
    assert wait_until(lambda: bool(caplog.messages), SECONDS)
    assert "Connection refused); trying again, up to 1000 events are kept" in caplog.text
    ids = happen(sink, 1, 2)
    time.sleep(1.1)
    assert len(caplog.messages) == 1
    server.start()
    kept = subscribe(server)
    assert wait_until(sink._client.is_connected, SECONDS)
    assert wait_until(lambda: sink._num_waiting() == 0, SECONDS)
    assert set(kept.ids()) <= set(ids)  # the subscriber may have come later than the first ones
    sink.close()
    assert "did not reach" not in caplog.text


@needs_broker
def test_a_dropped_connection_leaves_the_last_will(
    server: Server, subscribe: Callable[[Server], Subscriber], connect: Callable[..., Mqtt]
) -> None:
    server.start()
    sink, kept = connect(server), subscribe(server)
    sink.resume(None)
    assert wait_until(lambda: kept.last(f"{TOPIC}/status") == "online", SECONDS)
    sink._client.socket().shutdown(socket.SHUT_RDWR)

    def states() -> list[str]:
        return [content for topic, content, _ in kept.messages if topic == f"{TOPIC}/status"]

    assert wait_until(lambda: states()[-2:] == ["offline", "online"], SECONDS)


@needs_broker
def test_a_wrong_password_is_named(
    tmp_path: Path, connect: Callable[..., Mqtt], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "users").write_text("")
    server = Server(tmp_path, "allow_anonymous false", f"password_file {tmp_path / 'users'}")
    try:
        server.start()
        sink = connect(server, user="me@")
        assert wait_until(lambda: bool(caplog.messages), SECONDS)
        assert "cannot be reached (Not authorized; the password is EFFICIENT_SED_MQTT_PASSWORD or" in caplog.text
        happen(sink, 1)
        sink.close()
        assert "1 events did not reach it" in caplog.text
    finally:
        server.kill()


def test_addresses() -> None:
    broker = Broker.parse("mqtts://my%40me@host/a/b%20c", "secret")
    assert (broker.host, broker.port, broker.topic, broker.user) == ("host", 8883, "a/b c", "my@me")
    assert "secret" not in repr(broker)


@pytest.mark.parametrize(
    ("url", "password", "words"),
    [
        ("broker/topic", None, "--mqtt broker/topic is not allowed: mqtt://[USER@]HOST[:PORT]/TOPIC"),
        ("http://broker/topic", None, "--mqtt http://broker/topic is not allowed: mqtt://"),
        ("mqtt://broker", None, "--mqtt mqtt://broker is not allowed: mqtt://"),
        ("mqtt://broker:0/a", None, "is not allowed: mqtt://"),
        ("mqtt://broker:99999/a", None, "is not allowed (Port out of range 0-65535): mqtt://"),
        ("mqtt://a..b/topic", None, "is not allowed ("),
        ("mqtt:///topic", None, "is not allowed: mqtt://"),
        ("mqtt://broker/a/+", None, "is not allowed: mqtt://"),
        ("mqtt://broker/a#b", None, "is not allowed: mqtt://"),
        ("mqtt://broker/a%FFb", None, "is not allowed: mqtt://"),
        ("mqtt://broker/a%0Ab", None, "is not allowed: mqtt://"),
        ("mqtt://broker/$SYS/a", None, "without +, #, $ in front, or what is not shown"),
        ("mqtt://me:hidden@broker/a", None, "with a password, which every user of the machine could read"),
        ("mqtt://broker/a", "hidden", "--mqtt mqtt://broker/a has a password and no user: mqtt://USER@broker/a"),
    ],
)
def test_addresses_that_are_none(url: str, password: str | None, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Broker.parse(url, password)
    assert words in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "paho"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paho", None)
    with pytest.raises(MissingDependencyError, match=r"--mqtt needs the package paho-mqtt: pip install .*\[mqtt\]"):
        import_client()


@pytest.mark.parametrize("sign", ["a", "ä"])
def test_a_topic_is_too_long_with_what_lies_below_it(sign: str) -> None:
    pytest.importorskip("paho.mqtt")
    topic = sign * (65530 // len(sign.encode()))
    with pytest.raises(ConfigError, match=r"--mqtt is not allowed with the topic .*: 65\d+ bytes, at most 65535"):
        Mqtt(Broker.parse(f"mqtt://broker/{topic}", None), ["up"], "model")


def test_topics_are_unlike() -> None:
    slugs = create_slugs(["Dog", "dog", "Dog!", "Straße", "#+/"])
    assert len(set(slugs.values())) == 5
    assert all(slug.isascii() and not set(slug) & set("#+/ ") for slug in slugs.values())
