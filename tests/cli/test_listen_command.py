"""`efficient-sed listen`."""

from __future__ import annotations

import io
import signal
import sys
from types import SimpleNamespace

import pytest
import soundfile
from command import Run


def test_interrupted_listening_prints_what_was_heard(
    run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = soundfile.read(f"{here['d']}/a.wav", dtype="int16")

    class Interrupted(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if self.tell() > 16_000:
                signal.raise_signal(signal.SIGINT)
            return self.read(1600)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Interrupted(samples.tobytes())))
    status, out, err = run("listen --model {model} --threshold 0.05")
    assert status == 0
    assert "heard 0.5 s" in err or "heard 0.6 s" in err
    assert out


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
