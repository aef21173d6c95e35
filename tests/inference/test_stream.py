"""Sound in chunks has the scores of the whole, however it is cut; events come soon after they have ended."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import efficient_sed as es
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.export.write import TOLERANCE, export_model
from efficient_sed.inference.sources.raw import read_samples
from efficient_sed.inference.stream import Stream
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.registry import SEQUENCE_HEADS

RATE = 16_000


class Local(Backbone):
    """Features of each step come from its own four frames alone."""

    out_dim, time_stride = 32, 4

    def forward(self, mel: Tensor) -> Tensor:
        padded = nn.functional.pad(mel[:, 0], (0, -mel.shape[-1] % 4))
        return padded.unflatten(1, (32, 4)).unflatten(3, (-1, 4)).mean((2, 4)).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        return []


class LocalConfig(BackboneConfig):
    name = "local"

    def build(self) -> Backbone:
        return Local()


def model(head: str, seconds: float = 4.0) -> SedModel:
    torch.manual_seed(0)
    entry = SEQUENCE_HEADS.get(head)
    made = SedModel(
        ModelSpec(LocalConfig(), entry(hidden=64) if "hidden" in entry.__dataclass_fields__ else entry(), ("a", "b"))
    )
    made.provenance = Provenance(seconds, 3)
    return made.eval()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    time = np.arange(round(seconds * RATE))
    return (np.random.default_rng(seed).normal(size=len(time)) * np.abs(np.sin(time / 9000)) * 0.1).astype(np.float32)


def streamed(stream: Stream, samples: np.ndarray, sizes: list[int]) -> np.ndarray:
    borders = [0, *np.cumsum(sizes).tolist(), len(samples)]
    return np.concatenate([*(stream.push(samples[a:b]) for a, b in pairwise(borders)), stream.finish()])


CAUSAL = [name for name in SEQUENCE_HEADS.names() if (SEQUENCE_HEADS.get(name)()).build(8).is_causal]


@pytest.mark.parametrize("head", CAUSAL)
def test_heads_that_see_the_past_give_what_they_give_on_the_whole(head: str) -> None:
    """Over three windows and a rest, cut at random."""
    causal, samples = model(head), noise(14.3)
    sizes = np.random.default_rng(1).integers(1, 40_000, 8).tolist()
    with torch.inference_mode():
        whole = causal.score_frames(torch.from_numpy(samples)[None])[0].numpy()
    found = streamed(Stream(causal), samples, sizes)
    assert found.shape == whole.shape == (358, 2)
    np.testing.assert_allclose(
        found[:-1], whole[:-1], atol=TOLERANCE
    )  # the last frame is half silence in a stream, half mirrored by the front end
    assert whole.std() > 1e-3


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
def test_chunks_do_not_matter(head: str) -> None:
    samples, made = noise(6.5), model(head)
    once = streamed(Stream(made), samples, [])
    np.testing.assert_array_equal(streamed(Stream(made), samples, [1, 639, 50_000, 7]), once)
    assert once.shape == (163, 2)
    assert np.isfinite(once).all()


def test_other_heads_hear_the_window_alone() -> None:
    """Frame k is that of the last window that ends `lookahead_s` and at most `hop_s` more after it."""
    made, samples = model("tf"), noise(9.0)
    scores = streamed(Stream(made, hop_s=1.0, lookahead_s=0.4), samples, [10_000] * 10)
    with torch.inference_mode():
        window = made.score_frames(torch.from_numpy(samples[round(3.4 * RATE) : round(7.4 * RATE)])[None])[0].numpy()
    np.testing.assert_allclose(scores[150:175], window[65:90], atol=TOLERANCE)  # from 6 to 7 s


def test_a_score_comes_in_time() -> None:
    stream = Stream(model("gru"), hop_s=0.5, lookahead_s=0.2)
    assert stream.latency_s == pytest.approx(0.68)  # whole frames: 12 and 5
    given = 0
    for index, chunk in enumerate(np.split(noise(8.0), 400), 1):  # 20 ms
        given += len(stream.push(chunk))
        assert 0.04 * given >= 0.02 * index - stream.latency_s - 1e-9
        assert 0.04 * given <= 0.02 * index
    assert stream.computing_s > 0


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_sound_at_another_rate(rate: int) -> None:
    """A tone has the scores that it has at the model's own rate."""
    made = model("none")
    own, other = (0.1 * np.sin(2 * np.pi * 440 * np.arange(8 * hz) / hz).astype(np.float32) for hz in (RATE, rate))
    expected, found = streamed(Stream(made), own, []), streamed(Stream(made, sample_rate=rate), other, [5000, 1])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[2:-2], expected[2:-2], atol=0.02)


def test_times_do_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 62.585 ms are no whole number of samples at 16 kHz: after an hour, windows still begin at frames."""
    made = es.create_model("erann1", num_classes=2)
    stream, frame_s = Stream(made, sample_rate=RATE, hop_s=0.1), made.grid.hop_s
    seen: list[tuple[int, int, int]] = []

    def waveform(samples: np.ndarray, num_frames: int) -> np.ndarray:
        seen.append((stream._dropped, len(samples), num_frames))
        return np.zeros((1, 4))

    monkeypatch.setattr(stream, "_waveform", waveform)
    monkeypatch.setattr(stream, "_continued", lambda _, first, until: np.zeros((until - first, 2)))
    for _ in range(60):
        stream.push(np.zeros(60 * RATE, dtype=np.float32))
    begin, length, frames = seen[-1]
    assert begin / RATE / frame_s == pytest.approx(round(begin / RATE / frame_s), abs=1e-3)
    assert length / RATE == pytest.approx(frames * frame_s, abs=1e-3)
    assert begin + length > 3599 * RATE


def test_a_stream_is_used_once() -> None:
    stream = Stream(model("none"))
    stream.push(noise(1.0))
    with pytest.raises(ValueError, match="events are those of a stream from its beginning"):
        stream.events([])
    stream.finish()
    with pytest.raises(ValueError, match="the stream is finished"):
        stream.push(noise(1.0))


def test_events_come_when_they_have_ended() -> None:
    made = model("none")
    with torch.no_grad():  # the mean over mel bins and frames, above that of quiet noise
        made.classifier.strong.weight.fill_(10 / 32)
        made.classifier.strong.bias.fill_(0.0)
    samples = 1e-4 * np.random.default_rng(0).normal(size=10 * RATE).astype(np.float32)
    samples[3 * RATE : 4 * RATE] *= 3000
    seen: list[tuple[float, float]] = []
    stream = Stream(made, hop_s=0.4, lookahead_s=0.2)

    def chunks() -> object:
        for index, chunk in enumerate(np.split(samples, 50)):  # 0.2 s
            if 0.2 * index > 4 + stream.latency_s + 0.2:
                assert len(seen) == 2  # both classes
            yield chunk

    for event in stream.events(chunks()):  # type: ignore[arg-type]
        seen.append((event.onset_s, event.offset_s))  # noqa: PERF401 (chunks look at it meanwhile)
    assert sorted(seen) == [pytest.approx((3.0, 4.0), abs=0.08)] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop_s": 0.01}, r"hop_s=0\.01 is not allowed: 0\.04 s, a frame of the model, to 4 s, its window"),
        ({"hop_s": 5.0}, "hop_s=5 is not allowed"),
        (
            {"lookahead_s": 3.5},
            r"lookahead_s=3\.5 is not allowed: 0 to 3 s, what hop_s=1 leaves of the model's window of 4 s",
        ),
        ({"lookahead_s": -0.1}, r"lookahead_s=-0\.1 is not allowed"),
        ({"sample_rate": -1}, "sample_rate=-1 is not allowed"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Stream(model("none"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [np.zeros((2, 10)), np.array([np.nan])])
def test_samples_that_are_none(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="samples must be finite numbers of shape"):
        Stream(model("none")).push(samples)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.03])
def test_hardly_any_sound(seconds: float) -> None:
    assert len(streamed(Stream(model("none")), noise(seconds), [])) == (seconds > 0)


def test_samples_of_16_bits_are_refused() -> None:
    wanted = r"samples must be float32 in \[-1, 1\], a numpy\.ndarray of shape \(samples,\), got "
    for samples, given in (
        (np.ones(9, np.int16), "int16; scale them by x / 32768"),
        (torch.ones(9, dtype=torch.int32), "int32; scale"),
        ([1, 2], "int64"),
        ("a.wav", "<U5"),
    ):
        with pytest.raises(TypeError, match=wanted + given):
            Stream(model("none")).push(samples)  # type: ignore[arg-type]


def test_samples_of_16_bits_as_floats_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream(model("none"))
    for _ in range(2):
        stream.push(32_000 * noise(1.0))
    assert len(caplog.messages) == 1
    assert "where [-1, 1] is expected; divide those of 16 bits by 32768" in caplog.text


def test_a_model_by_name() -> None:
    stream = es.Stream("fmn04+tf-128_synthetic")
    assert stream.push(noise(2.0)).shape == (25, 16)


def test_an_exported_model(tmp_path: Path) -> None:
    """A head that sees both ways, as in PyTorch; one that sees the past hears its window."""
    both_ways, causal = es.create_model("fmn04", num_classes=2), es.create_model("fmn04+causalgru-64", num_classes=2)
    both_ways.provenance = causal.provenance = Provenance(2.0, 3)
    samples, chunks = noise(5.0), [7, 30_000, 40_000]
    exported = Stream(export_model(both_ways, tmp_path / "both.onnx", "mine").path, hop_s=0.8)
    np.testing.assert_allclose(
        streamed(exported, samples, chunks), streamed(Stream(both_ways, hop_s=0.8), samples, chunks), atol=1e-4
    )
    short = Stream(export_model(causal, tmp_path / "causal.onnx", "mine").path)
    np.testing.assert_allclose(
        streamed(short, samples[:24_000], []), streamed(Stream(causal), samples[:24_000], []), atol=TOLERANCE
    )


class Dripping(io.BytesIO):
    """A pipe that gives what it has: 999 bytes at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(min(999, size or 999))


@pytest.mark.parametrize(
    ("sample_type", "dtype", "scale"), [("s16le", "<i2", 2**15), ("s32le", "<i4", 2**31), ("f32le", "<f4", 1)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_raw_samples(sample_type: str, dtype: str, scale: int, channels: int) -> None:
    frames = np.random.default_rng(0).uniform(-0.9, 0.9, (5000, channels))
    data = (frames * scale).astype(dtype).tobytes()
    chunks = list(
        read_samples(Dripping(data + b"\x01"), RATE, channels, sample_type)
    )  # closed in the middle of a sample
    np.testing.assert_allclose(np.concatenate(chunks), frames.mean(1), atol=1e-4)
    assert len(chunks) > 5


@pytest.mark.parametrize(
    ("data", "sample_type", "message"),
    [
        (b"", "s16le", "the standard input is empty; give raw samples, such as: ffmpeg"),
        (
            b"RIFF....WAVE",
            "s16le",
            "the standard input is a wav file, listen takes raw samples; give the file to: efficient-sed detect -",
        ),
        (
            np.array([np.nan], "<f4").tobytes(),
            "f32le",
            "a sample that is no number; is --samples f32le what it was written as?",
        ),
    ],
)
def test_input_that_is_no_raw_sound(data: bytes, sample_type: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_samples(io.BytesIO(data), RATE, 1, sample_type))
