"""Events by MQTT, for Home Assistant and others."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from efficient_sed import __version__
from efficient_sed.errors import ConfigError
from efficient_sed.inference.live_events import Gap, LiveEvent
from efficient_sed.inference.sinks.broker import PASSWORD_VARIABLE, Broker, import_client
from efficient_sed.inference.sinks.contract import Sink
from efficient_sed.inference.sinks.home_assistant import create_slugs, discovery, discovery_pattern

logger = logging.getLogger(__name__)
MAX_QUEUED = 1000
"""Events that are kept while the broker is away."""
REFUSALS = ("Not authorized", "Bad user name or password")
LONGEST_WAIT_S = 30
KEEP_ALIVE_S = 30
MAX_TOPIC_BYTES = 65535
CLOSING_S = 3.0
"""Seconds that the last events may take."""


class Mqtt(Sink):
    """Events to a broker, and the state of each class; a thread of its own connects, again and again if need be.

    Each event is sent once as JSON, at least once where a connection breaks in the middle of it (its `id` tells); up
    to `MAX_QUEUED` wait while the broker is away. States are retained, and those of the present when it is back.

    Args:
        broker: Where to.
        labels: Of the classes that are passed on.
        model: Name of the model.

    Raises:
        ConfigError: If the topic is too long.
        MissingDependencyError: Without the package paho-mqtt.
    """

    def __init__(self, broker: Broker, labels: Sequence[str], model: str) -> None:
        client = import_client()
        self._broker, self._topic = broker, broker.topic
        self._slugs = create_slugs(labels)
        self._discovery = discovery(self._topic, self._slugs, model, __version__)
        _check_lengths([f"{self._topic}/{slug}/attributes" for slug in self._slugs.values()] + [*self._discovery])
        self._lock = threading.Lock()  # held where a state changes and is sent, since both threads do so
        self._states = dict.fromkeys(labels, "OFF")
        self._has_sound = self._is_away = False
        self._waiting: deque[Any] = deque()  # events that the broker has not confirmed
        self._num_dropped = 0
        self._errors = client.MQTTErrorCode
        self._client: Any = client.Client(client.CallbackAPIVersion.VERSION2)
        self._client.on_connect, self._client.on_disconnect = self._connected, self._disconnected
        self._client.on_connect_fail, self._client.on_message = self._failed, self._forget
        self._client.max_queued_messages_set(MAX_QUEUED)
        self._client.reconnect_delay_set(1, LONGEST_WAIT_S)
        self._client.will_set(f"{self._topic}/status", "offline", qos=1, retain=True)
        if broker.user is not None:
            self._client.username_pw_set(broker.user, broker.password)
        if broker.is_encrypted:
            self._client.tls_set()
        self._client.connect_async(broker.host, broker.port, KEEP_ALIVE_S)
        self._client.loop_start()

    def start(self, event: LiveEvent) -> None:
        """See `Sink.start`."""
        self._set_state(event, "ON")

    def end(self, event: LiveEvent) -> None:
        """See `Sink.end`."""
        self._set_state(event, "OFF")
        sent = self._publish_event(json.dumps({"event_type": event.label, **event.to_dict()}, ensure_ascii=False))
        if sent is None:
            with self._lock:
                self._num_dropped += 1
            if self._num_dropped == 1:
                logger.warning("%s: %d events wait for it, more are dropped", self._broker, MAX_QUEUED)
        else:
            self._waiting.append(sent)
        while self._waiting and self._waiting[0].is_published():
            self._waiting.popleft()

    def lose(self, gap: Gap) -> None:
        """See `Sink.lose`."""
        self._set_sound(False)

    def resume(self, gap: Gap | None) -> None:
        """See `Sink.resume`."""
        self._set_sound(True)

    def close(self) -> None:
        """See `Sink.close`."""
        self._set_sound(False)
        until = time.monotonic() + CLOSING_S
        while self._client.is_connected() and self._num_waiting() and time.monotonic() < until:
            time.sleep(0.01)
        self._client.disconnect()
        self._client.loop_stop()
        if (num_lost := self._num_waiting() + self._num_dropped) > 0:
            logger.warning("%s: %d events did not reach it", self._broker, num_lost)

    def _num_waiting(self) -> int:
        return sum(not sent.is_published() for sent in self._waiting)

    def _publish_event(self, content: str) -> Any:
        """Hand over an event that is sent now or when there is a connection; None if too many wait."""
        sent = self._client.publish(f"{self._topic}/event", content, qos=1)
        if sent.rc == self._errors.MQTT_ERR_QUEUE_SIZE:
            return None
        sent.rc = self._errors.MQTT_ERR_SUCCESS  # where there is no connection it is kept, too
        return sent

    def _set_state(self, event: LiveEvent, state: str) -> None:
        with self._lock:
            self._states[event.label] = state
            content = json.dumps(event.to_dict(), ensure_ascii=False)
            self._retain(f"{self._slugs[event.label]}/attributes", content)
            self._retain(f"{self._slugs[event.label]}/state", state)

    def _set_sound(self, has_sound: bool) -> None:
        with self._lock:
            self._has_sound = has_sound
            self._retain("status", "online" if has_sound else "offline")

    def _retain(self, name: str, content: str) -> None:
        """Send what is true now; without a connection nothing is sent, and `_connected` sends what is true then."""
        self._client.publish(f"{self._topic}/{name}", content, retain=True)

    def _connected(self, client: Any, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            advice = f"; the password is {PASSWORD_VARIABLE} or --mqtt-password-file FILE"
            self._say_away(f"{reason}{advice if str(reason) in REFUSALS else ''}")
            return
        client.subscribe(discovery_pattern(self._topic))
        with self._lock:
            for topic, content in self._discovery.items():
                client.publish(topic, content, retain=True)
            for label, state in self._states.items():
                self._retain(f"{self._slugs[label]}/state", state)
            self._retain("status", "online" if self._has_sound else "offline")
            num_dropped, self._num_dropped = self._num_dropped, 0
        self._is_away = False
        dropped = f"; {num_dropped} events were dropped" if num_dropped else ""
        logger.warning("%s: connected%s", self._broker, dropped)

    def _disconnected(self, client: Any, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._say_away("the connection broke off")

    def _failed(self, client: Any, _: Any) -> None:
        self._say_away(str(sys.exception() or "no connection"))

    def _say_away(self, reason: str) -> None:
        if not self._is_away:
            self._is_away = True
            kept = f"up to {MAX_QUEUED} events are kept"
            logger.warning("%s: cannot be reached (%s); trying again, %s", self._broker, reason, kept)

    def _forget(self, client: Any, _: Any, message: Any) -> None:
        """Take a class back that an earlier call announced and this one does not pass on."""
        if message.payload and message.topic not in self._discovery:
            client.publish(message.topic, b"", retain=True)


def _check_lengths(topics: Sequence[str]) -> None:
    """Raise a ConfigError for a topic that is longer than MQTT allows."""
    longest = max(topics, key=lambda topic: len(topic.encode()))
    if (num_bytes := len(longest.encode())) > MAX_TOPIC_BYTES:
        what = f"{num_bytes} bytes, at most {MAX_TOPIC_BYTES}; give a shorter TOPIC"
        raise ConfigError(f"--mqtt is not allowed with the topic {longest[:40]}…: {what}")
