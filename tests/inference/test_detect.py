"""Detection in files: the same events as evaluation sees, once each, in constant memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console
from torch import Tensor

from efficient_sed.cli.event_tables import events_table
from efficient_sed.data.annotations.contract import format_events
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.data.windows import join_windows
from efficient_sed.errors import CheckpointError, ConfigError, DataError, MissingDependencyError
from efficient_sed.inference.detect import detect, iterate_events
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.plot import MAX_COLUMNS, plot_detections, pool_spectrogram
from efficient_sed.models.factory import create_model
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.models.weights.checkpoint import save_model
from efficient_sed.postprocessing.events import decode_events
from efficient_sed.postprocessing.median import smooth_scores

RATE = 16_000


class EnergyModel(SedModel):
    """Scores are a function of the waveform alone: the loudness of each frame."""

    def score_frames(self, waveform: Tensor) -> Tensor:
        return waveform.unflatten(1, (-1, 640)).abs().mean(2, keepdim=True).clamp(max=1)


@pytest.fixture(scope="module")
def loudness() -> EnergyModel:
    return EnergyModel(create_model("fmn04", classes=["loud"]).spec)


@pytest.fixture(scope="module")
def random_model() -> SedModel:
    torch.manual_seed(0)
    return create_model("fmn04", classes=["dog", "siren", "speech"])


def write_bursts(path: Path, duration_s: float, bursts: list[tuple[float, float]], rate: int = RATE) -> Path:
    samples = np.zeros(round(duration_s * rate))
    for onset_s, offset_s in bursts:
        samples[round(onset_s * rate) : round(offset_s * rate)] = 0.8
    soundfile.write(path, samples, rate)
    return path


@pytest.mark.parametrize("median_frames", [1, 9])
def test_events_across_window_borders_come_once(tmp_path: Path, loudness: EnergyModel, median_frames: int) -> None:
    bursts = [
        (0.0, 1.0),
        (8.6, 9.4),
        (9.6, 10.4),
        (16.0, 27.0),
        (33.0, 33.4),
        (34.96, 35.3),
    ]  # windows share 8-10, 16-18, 24-26 and 25.3-34 s
    path = write_bursts(tmp_path / "bursts.wav", 35.3, bursts)
    events = detect(path, loudness, threshold=0.3, median_frames=median_frames)  # the last frame is half full
    assert [(event.onset_s, event.offset_s) for event in events] == bursts
    assert all(event.label == "loud" and event.score == pytest.approx(0.8, abs=1e-4) for event in events)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates(tmp_path: Path, loudness: EnergyModel, rate: int) -> None:
    path = write_bursts(tmp_path / "bursts.flac", 12.0, [(8.0, 11.0)], rate)
    assert [(event.onset_s, event.offset_s) for event in detect(path, loudness)] == [(8.0, 11.0)]


@pytest.mark.parametrize(("rate", "window_s"), [(11_025, 1.5), (11_025, 3.5), (44_100, 2.5)])
def test_windows_that_are_no_whole_samples(tmp_path: Path, rate: int, window_s: float) -> None:
    model = create_model("fmn04", classes=["dog"])
    model.provenance = Provenance(clip_seconds=window_s, median_frames=1)
    path = write_bursts(tmp_path / "bursts.wav", 8.0, [(5.0, 6.0)], rate)
    assert detect(path, model, 1e-6) == [Event(0.0, 8.0, "dog", pytest.approx(0.5, abs=0.5))]


@pytest.mark.parametrize("duration_s", [0.02, 3.0, 10.0, 21.37])
def test_same_events_as_evaluation(tmp_path: Path, random_model: SedModel, duration_s: float) -> None:
    samples = (
        np.random.default_rng(1).normal(size=round(duration_s * RATE))
        * np.abs(np.sin(np.arange(round(duration_s * RATE)) / 5000))
        * 0.1
    )
    path = tmp_path / "noise.wav"
    soundfile.write(path, samples, RATE)
    random_model.eval()
    dataset = EvaluationWindows(
        [Clip("noise", AudioFile(path), duration_s, ())], random_model.classes, random_model.grid, 10
    )
    pieces = [
        (window, fuse(random_model).score_frames(dataset[i].waveform[None])[0].numpy())
        for i, (_, window) in enumerate(dataset.windows)
    ]
    scores = np.concatenate(list(join_windows(pieces)))
    threshold = float(np.clip(np.median(scores), 0.01, 0.99))
    expected = decode_events(smooth_scores(scores, 9), random_model.classes, random_model.grid, threshold, duration_s)
    random_model.train()
    assert detect(path, random_model, threshold) == expected
    assert expected
    assert not random_model.training


def test_median_window_comes_from_the_model(tmp_path: Path) -> None:
    model = EnergyModel(create_model("fmn04", classes=["loud"]).spec)
    path = write_bursts(tmp_path / "short.wav", 5.0, [(2.0, 2.12)])
    assert detect(path, model) == []
    model.provenance = Provenance(clip_seconds=2, median_frames=3)
    assert [(event.onset_s, event.offset_s) for event in detect(path, model)] == [(2.0, 2.12)]
    assert detect(path, model, median_frames=9) == []


def test_model_by_file(tmp_path: Path, random_model: SedModel) -> None:
    path = write_bursts(tmp_path / "bursts.wav", 3.0, [(1.0, 2.0)])
    save_model(random_model, tmp_path / "model.safetensors")
    assert detect(path, str(tmp_path / "model.safetensors"), 0.01) == detect(path, random_model, 0.01) != []
    with pytest.raises(CheckpointError):
        detect(path, str(tmp_path / "absent.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threshold": value}, f"threshold={value} is not allowed: ") for value in (0.0, 1.0, -0.1, 1.5, float("nan"))]
    + [({"median_frames": value}, f"median_frames={value} is not allowed: ") for value in (0, -1, 4)],
)
def test_options_that_are_not_allowed(
    tmp_path: Path, loudness: EnergyModel, options: dict[str, float], message: str
) -> None:
    path = write_bursts(tmp_path / "bursts.wav", 1.0, [])
    with pytest.raises(ConfigError) as caught:
        iterate_events(path, loudness, DetectOptions(**options))  # type: ignore[arg-type]  # before the first event is asked for
    assert str(caught.value).startswith(message)


WRONG_TYPES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"path": np.zeros(9)}, TypeError, "path must be that of an audio file, got numpy.ndarray; es.Stream("),
    ({"path": torch.zeros(9)}, TypeError, "path must be that of an audio file, got torch.Tensor"),
    ({"path": ["a.wav"]}, TypeError, "path must be that of an audio file, got list"),
    ({"path": b"RIFF"}, TypeError, "path must be that of an audio file, got bytes"),
    ({"model": None}, TypeError, "model must be a SedModel, the name of one or its file, got NoneType"),
    ({"threshold": "0.5"}, ConfigError, "threshold=0.5 is not allowed"),
    ({"threshold": None}, ConfigError, "threshold=None is not allowed"),
    ({"threshold": float("nan")}, ConfigError, "threshold=nan is not allowed"),
    ({"median_frames": 3.0}, ConfigError, "median_frames=3.0 is not allowed: a whole number of frames"),
    ({"hop_s": "1"}, ConfigError, "hop_s=1 is not allowed: a number of seconds"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG_TYPES, ids=[row[-1] for row in WRONG_TYPES])
def test_wrong_types(
    tmp_path: Path,
    loudness: EnergyModel,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    path = write_bursts(tmp_path / "a.wav", 1.0, [])
    with pytest.raises(error) as caught:
        detect(**{"path": path, "model": loudness} | options)
    assert str(caught.value).startswith(message)


def test_loud_samples_are_warned_of_once(
    tmp_path: Path,
    loudness: EnergyModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(30 * RATE, 20_000.0, np.float32), RATE, "FLOAT")
    detect(path, loudness)
    words = "samples reach 20000 where [-1, 1] is expected; scores may mean nothing"
    assert caplog.messages == [f"{path}: {words}"]


def test_unreadable_file_is_named(tmp_path: Path, loudness: EnergyModel) -> None:
    with pytest.raises(DataError, match=r"absent\.wav: no such audio file"):
        iterate_events(tmp_path / "absent.wav", loudness)


MEASURE = """
import sys
from pathlib import Path
from efficient_sed.inference.detect import iterate_events
from efficient_sed.models.factory import create_model
model = create_model("fmn04", classes=["loud"])
model.score_frames = lambda waveform: waveform.unflatten(1, (-1, 640)).abs().mean(2, keepdim=True)
for path in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    count = sum(1 for _ in iterate_events(path, model))
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(count, peak.split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    files = []
    for name, minutes in (("warm-up", 1), ("short", 1), ("long", 10)):
        bursts = [(second, second + 0.5) for second in range(0, 60 * minutes, 5)]
        files.append(str(write_bursts(tmp_path / f"{name}.wav", 60 * minutes, bursts)))
    lines = subprocess.run(
        [sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    counts, peaks_kb = zip(*(map(int, line.split()) for line in lines), strict=True)
    assert counts == (12, 12, 120)
    assert peaks_kb[2] - peaks_kb[1] < 10_000  # the 10 minutes decoded at once are 38_400


EVENTS = {
    "a.wav": [Event(0.12, 1.428005, "Vehicle horn, [car] horn", 0.61234), Event(0.4, 0.8, "dog", 1.0)],
    "b.wav": [],
}


def test_tsv() -> None:
    assert format_events(EVENTS, "tsv").splitlines() == [
        "filename\tonset\toffset\tevent_label\tscore",
        "a.wav\t0.12\t1.428005\tVehicle horn, [car] horn\t0.6123",
        "a.wav\t0.4\t0.8\tdog\t1.0",
        "b.wav\t\t\t\t",
    ]


def test_json() -> None:
    first, second = json.loads(format_events(EVENTS, "json", {"a.wav": 1.428005}))
    assert first["file"] == "a.wav"
    assert first["duration_s"] == 1.428005
    assert first["events"][1] == {"onset_s": 0.4, "offset_s": 0.8, "label": "dog", "score": 1.0}
    assert second == {"file": "b.wav", "duration_s": None, "events": []}


def test_audacity() -> None:
    assert (
        format_events({"a.wav": [Event(0.12, 1.5, "dog  bark", 0.6)]}, "audacity") == "0.120000\t1.500000\tdog  bark\n"
    )
    assert format_events({"b.wav": []}, "audacity") == ""
    with pytest.raises(ConfigError, match="format=audacity is not allowed for 2 files"):
        format_events(EVENTS, "audacity")


def test_rttm() -> None:
    assert format_events({"my street.wav": EVENTS["a.wav"], "b.wav": []}, "rttm").splitlines() == [
        "SPEAKER my_street 1 0.120 1.308 <NA> <NA> Vehicle_horn,_[car]_horn 0.6123 <NA>",
        "SPEAKER my_street 1 0.400 0.400 <NA> <NA> dog 1.0000 <NA>",
    ]


def test_jams() -> None:
    jams = json.loads(format_events({"x/a.wav": EVENTS["a.wav"]}, "jams", {"x/a.wav": 2.0}))
    assert jams["file_metadata"]["duration"] == 2.0
    assert (jams["file_metadata"]["title"], jams["file_metadata"]["identifiers"]) == ("a", {"file": "x/a.wav"})
    (annotation,) = jams["annotations"]
    assert annotation["namespace"] == "segment_open"
    assert annotation["data"][1] == {"time": 0.4, "duration": 0.4, "value": "dog", "confidence": 1.0}
    with pytest.raises(
        ConfigError, match="format=rttm is not allowed: files that differ in their endings or blanks alone"
    ):
        format_events({"a b.wav": [], "a_b.flac": []}, "rttm")
    with pytest.raises(ConfigError, match="format=jams is not allowed for 2 files"):
        format_events(EVENTS, "jams")


def test_unknown_format() -> None:
    with pytest.raises(ConfigError, match=r"format=cvs is not allowed: .*audacity, csv, .*, tsv"):
        format_events(EVENTS, "cvs")


def test_table_shows_labels_as_they_are() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(events_table(EVENTS))
    text = console.export_text()
    assert "Vehicle horn, [car] horn" in text
    assert "1.43" in text
    assert "no events" in text


@pytest.mark.parametrize(
    "events",
    [
        [],
        [
            Event(0.2, 1.0, "Cost $5 and $6_a", 0.7),
            Event(0.5, 0.54, "Domestic animals, pets that bark and howl in long sentences for ever and ever", 0.99),
        ],
        [Event(0.04 * k, 0.04 * k + 0.04, f"class {k}", 0.5 + k / 100) for k in range(40)],
    ],
    ids=["none", "long labels", "many classes"],
)
def test_plot_is_a_picture(tmp_path: Path, loudness: EnergyModel, events: list[Event]) -> None:
    path = write_bursts(tmp_path / "$bursts$.wav", 2.0, [(0.2, 1.0)])
    plot_detections(path, loudness, events, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["$bursts$.wav", "plot.png"]


def test_pooled_spectrogram(tmp_path: Path, loudness: EnergyModel) -> None:
    path = write_bursts(tmp_path / "long.wav", 63.3, [(30.0, 40.0)])
    samples, _ = soundfile.read(path, dtype="float32")
    whole = loudness.frontend(torch.from_numpy(samples)[None])[0, 0].numpy()[:, :6330]
    mel, covered_s = pool_spectrogram(path, loudness)
    pooled = np.stack([whole[:, k : k + 4].mean(axis=1) for k in range(0, 6330, 4)], axis=1)
    assert mel.shape == pooled.shape
    assert mel.shape[1] <= MAX_COLUMNS
    assert covered_s == pytest.approx(63.32)
    np.testing.assert_allclose(mel[:, :-1], pooled[:, :-1], atol=1e-3)


def test_plot_needs_a_png_name_and_matplotlib(
    tmp_path: Path, loudness: EnergyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bursts(tmp_path / "bursts.wav", 1.0, [])
    with pytest.raises(ConfigError, match=r"plot\.pdf is not allowed"):
        plot_detections(path, loudness, [], tmp_path / "plot.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        plot_detections(path, loudness, [], tmp_path / "file" / "plot.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="--plot needs the package matplotlib"):
        plot_detections(path, loudness, [], tmp_path / "plot.png")
