"""Address of an MQTT broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from efficient_sed.errors import ConfigError, MissingDependencyError, is_printable

PASSWORD_VARIABLE = "EFFICIENT_SED_MQTT_PASSWORD"
PORTS = {"mqtt": 1883, "mqtts": 8883}
FORM = "mqtt://[USER@]HOST[:PORT]/TOPIC, or mqtts:// for TLS; TOPIC without +, #, $ in front, or what is not shown"


@dataclass(frozen=True)
class Broker:
    """Where to."""

    host: str
    port: int
    topic: str
    user: str | None
    password: str | None = field(repr=False)
    is_encrypted: bool

    @classmethod
    def parse(cls, url: str, password: str | None) -> Broker:
        """Read an address.

        Raises:
            ConfigError: If it is malformed, or holds a password.
        """
        shown = url.rpartition("@")[2]
        try:
            parts = urlsplit(url)
            port = parts.port
            (parts.hostname or "").encode("idna")  # as looking it up does
        except ValueError as error:
            raise ConfigError(f"--mqtt {shown} is not allowed ({error}): {FORM}") from None
        if parts.password is not None:
            raise ConfigError(
                "--mqtt is not allowed with a password, which every user of the machine could read; "
                f"give it as {PASSWORD_VARIABLE} or --mqtt-password-file FILE"
            )
        topic = unquote(parts.path).strip("/")
        is_plain = not any(sign in topic for sign in "+#\ufffd") and not parts.query and "#" not in url
        is_plain = is_plain and is_printable(topic) and not topic.startswith("$")
        if parts.scheme not in PORTS or not parts.hostname or port == 0 or not topic or not is_plain:
            raise ConfigError(f"--mqtt {shown} is not allowed: {FORM}")
        user = None if parts.username is None else unquote(parts.username)
        if password is not None and user is None:
            raise ConfigError(f"--mqtt {shown} has a password and no user: mqtt://USER@{shown.partition('://')[2]}")
        return cls(parts.hostname, port or PORTS[parts.scheme], topic, user, password, parts.scheme == "mqtts")

    def __str__(self) -> str:
        return f"MQTT broker {self.host}:{self.port}"


def import_client() -> Any:
    """Import the module with the client.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise MissingDependencyError("--mqtt", "paho-mqtt", "mqtt") from error
    return client
