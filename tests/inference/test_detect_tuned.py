"""What a model was tuned to: it travels with the model, and detection takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.data.events import Event
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.experiment.score import _provenance
from efficient_sed.export.write import export_model
from efficient_sed.files.npz import read_arrays
from efficient_sed.inference.detect import open_detector
from efficient_sed.inference.detect_one import Task, detect_one
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.detector import Detector, postprocessing_of
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.recordings import find_recordings
from efficient_sed.inference.stream import Stream
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.events import decode_events
from efficient_sed.postprocessing.file import write_postprocessing
from efficient_sed.postprocessing.median import Median

CLASSES = ["dog", "siren", "speech"]
RATE = 16_000


class Files(NamedTuple):
    """A recording, and one model: untuned, tuned, and tuned and exported."""

    recording: Path
    untuned: Detector
    tuned: Detector
    exported: ExportedModel
    json: Path
    postprocessing: Postprocessing


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tuned")
    torch.manual_seed(0)
    model = settle_norms(es.create_model("fmn04", classes=CLASSES)).eval()
    model.provenance = Provenance(clip_seconds=2.0, median_frames=3)
    samples = 0.1 * np.random.default_rng(0).normal(size=5 * RATE) * np.abs(np.sin(np.arange(5 * RATE) / 3000))
    soundfile.write(folder / "noise.wav", samples, RATE)
    untuned = open_detector(model)
    scores = untuned.score_frames(samples[None].astype(np.float32))[0]
    levels = [round(float(level), 3) for level in np.median(scores, axis=0)]
    tuned = Postprocessing(
        Chain((Median(5),)), Chain((Median((1, 3, 9)),)), tuple(levels), 0.04,
        {"tuned_for": "psds1", "data": "synthetic", "part": "validation"},
    )  # fmt: skip
    model.provenance = Provenance(clip_seconds=2.0, median_frames=3, postprocessing=tuned.to_dict())
    es.save_model(model, folder / "tuned.safetensors")
    exported = export_model(model, folder / "tuned.onnx", "mine").path
    write_postprocessing(folder / "tuned.json", tuned, CLASSES)
    detectors = untuned, open_detector(folder / "tuned.safetensors"), ExportedModel(exported)
    return Files(folder / "noise.wav", *detectors, folder / "tuned.json", tuned)


def times(events: list[Event]) -> list[tuple[float, float, str]]:
    return [(event.onset_s, event.offset_s, event.label) for event in events]


def test_it_travels(files: Files) -> None:
    by_file = es.detect(files.recording, files.untuned, postprocessing=files.json)
    assert len(by_file) > 10
    assert {event.label for event in by_file} == set(CLASSES)
    assert es.detect(files.recording, files.tuned) == by_file
    assert es.detect(files.recording, files.untuned, postprocessing=files.postprocessing) == by_file
    assert times(es.detect(files.recording, files.exported)) == times(by_file)
    assert files.exported.postprocessing == postprocessing_of(files.tuned) == files.postprocessing
    assert _provenance(files.exported).postprocessing == files.postprocessing.to_dict()


def test_a_file_that_carries_something_else(files: Files, tmp_path: Path) -> None:
    model = es.create_model("fmn04", classes=CLASSES)
    model.provenance = Provenance(postprocessing={"thresholds": [0.5]})
    es.save_model(model, tmp_path / "a.safetensors")
    words = r"a\.safetensors: its post-processing is damaged \(thresholds=1 values is not allowed: one for each of 3"
    with pytest.raises(CheckpointError, match=words):
        es.detect(files.recording, tmp_path / "a.safetensors")


def test_what_is_taken_in_its_place(files: Files) -> None:
    recording, untuned, tuned, *_ = files
    assert es.detect(recording, untuned) == es.detect(recording, untuned, 0.5, 3)
    assert es.detect(recording, tuned, 0.4, 3) == es.detect(recording, untuned, 0.4)
    assert es.detect(recording, tuned, postprocessing="none") == es.detect(recording, untuned, 0.5, 1)
    levels = files.postprocessing.thresholds or ()
    some = es.detect(recording, tuned, {"dog": 0.01})
    assert some == es.detect(recording, tuned, dict(zip(CLASSES, (0.01, *levels[1:]), strict=True)))
    assert some != es.detect(recording, tuned)


def test_a_stream_takes_it_too(files: Files) -> None:
    samples, _ = soundfile.read(files.recording, dtype="float32")
    stream = Stream(files.tuned)
    scores = files.postprocessing.events.apply(np.concatenate([stream.push(samples), stream.finish()]), 0.04)
    levels = files.postprocessing.thresholds or ()
    expected = decode_events(scores, CLASSES, files.tuned.grid, levels, 5.0)
    assert len(expected) > 10
    assert sorted(Stream(files.tuned).events([samples])) == expected


@pytest.mark.parametrize(
    ("model", "threshold", "note"),
    [
        ("tuned", "auto", "thresholds tuned for event F1 on synthetic/validation: "),
        ("exported", "dog=0.2", "other classes: thresholds tuned for event F1 on synthetic/validation: "),
        ("untuned", "auto", "all classes: threshold 0.5, since none were tuned"),
        ("untuned", {"dog": 0.2}, "other classes: threshold 0.5, since none were tuned"),
        ("tuned", "dog=0.2,default=0.5", ""),
        ("tuned", 0.3, ""),
    ],
)
def test_what_is_said(files: Files, model: str, threshold: float | str, note: str) -> None:
    said = DetectOptions(threshold).rule(getattr(files, model)).note
    assert said.startswith(note)
    assert bool(said) == bool(note)


def test_why_thresholds_are_not_those_that_were_tuned(files: Files) -> None:
    for options in (DetectOptions(median_frames=3), DetectOptions(postprocessing="none")):
        words = "all classes: threshold 0.5, since the tuned ones belong to the model's own post-processing"
        assert options.rule(files.tuned).note == words


def test_scores_say_what_was_applied(files: Files, tmp_path: Path) -> None:
    (recording,), _ = find_recordings([files.recording])
    detect_one(recording, files.tuned, Task(DetectOptions(), tmp_path))
    (applied,) = read_arrays((tmp_path / "noise.npz").read_bytes(), ["postprocessing"])
    assert json.loads(str(applied)) == [{"name": "median", "window": [1, 3, 9]}]


def test_a_detector_of_ones_own(files: Files) -> None:
    class Own:
        classes, grid, clip_seconds, median_frames = ["loud"], files.tuned.grid, 1.0, 3

        def score_frames(self, waveform: np.ndarray) -> np.ndarray:
            return np.abs(waveform).reshape(len(waveform), -1, 640).mean(2)[..., None]

    rule = DetectOptions().rule(Own())
    assert (rule.chain, rule.thresholds) == (Chain((Median(3),)), (0.5,))
    with pytest.raises(ConfigError, match=r"tuned\.json: it has no class 'loud', which the model has; make one for"):
        es.detect(files.recording, Own(), postprocessing=files.json)
    with pytest.raises(ConfigError, match=r"median_frames=3 is not allowed: it is a post-processing itself; give one"):
        DetectOptions(median_frames=3, postprocessing="none")
    other = Postprocessing(hop_s=0.02)
    with pytest.raises(ConfigError, match=r"hop_s=0\.02 is not allowed: 0\.04 s, the model's frame"):
        es.detect(files.recording, Own(), postprocessing=other)
