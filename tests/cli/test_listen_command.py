"""`efficient-sed listen`."""

from __future__ import annotations

import io
import json
import signal
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
from command import Run

from efficient_sed.cli.listen_options import parse_broker
from efficient_sed.cli.main import parse


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_listening_prints_what_was_heard(
    run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    samples, _ = soundfile.read(f"{here['d']}/a.wav", dtype="int16")

    class Interrupted(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if self.tell() > 16_000:
                signal.raise_signal(number)
            return self.read(1600)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Interrupted(samples.tobytes())))
    status, out, err = run("listen --model {model} --threshold 0.05")
    assert status == 0
    assert "heard 0.5 s" in err or "heard 0.6 s" in err
    assert out
    assert signal.getsignal(number) == before


def test_listen(run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = soundfile.read(f"{here['d']}/a.wav", dtype="int16")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(samples.tobytes() + b"\x00")))
    status, out, err = run("listen --model {model} --threshold 0.05")
    assert status == 0
    assert err.startswith("listening at 16000 Hz; an event is printed 1.66 s after its end at the latest")
    assert "heard 0.8 s; computing took " in err
    assert out
    for line in out.splitlines():
        onset, offset, label, score = line.split("\t")
        assert 0 <= float(onset) < float(offset) <= 0.76
        assert label in ("dog", "siren")
        assert 0.05 <= float(score) <= 1
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    assert run("listen --model {model}").status == 2


def test_json_lines_and_clips_of_a_recording(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    typed = "listen {d}/a.wav --model {model} --threshold 0.05 --postprocessing none --format jsonl --clips clips"
    status, out, _ = run(f"{typed} --only dog --margin 0 --keep-gb 1")
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert events
    for event in events:
        begin, end = (datetime.fromisoformat(event[key]) for key in ("time", "end"))
        assert begin.utcoffset() is not None
        assert (end - begin).total_seconds() == pytest.approx(event["offset_s"] - event["onset_s"], abs=0.002)
        assert (event["type"], event["label"], event["source"]) == ("event", "dog", f"{here['d']}/a.wav")
        samples, rate = soundfile.read(tmp_path / "clips" / f"{event['id']}.flac")
        assert len(samples) / rate == pytest.approx(event["offset_s"] - event["onset_s"], abs=0.001)
    assert len(list((tmp_path / "clips").iterdir())) == len(events)


def test_a_recording_has_the_events_of_its_samples(
    run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = soundfile.read(f"{here['d']}/a.wav", dtype="int16")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(samples.tobytes())))
    options = "--model {model} --threshold 0.05"
    assert run(f"listen {options}").out == run(f"listen {{d}}/a.wav {options}").out != ""


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("efficient_sed.cli.listen_options.import_client", lambda: None)
    monkeypatch.setenv("EFFICIENT_SED_MQTT_PASSWORD", "of the environment")
    (tmp_path / "secret").write_text("of the file\n")
    from_file = ["--mqtt-password-file", f"{tmp_path}/secret"]
    for typed, password in (([], "of the environment"), (from_file, "of the file")):
        broker = parse_broker(parse(["listen", "--mqtt", "mqtt://me@broker/topic", *typed]))
        assert broker is not None
        assert broker.password == password
