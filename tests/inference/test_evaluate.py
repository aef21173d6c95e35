"""Scores of windows become scores of clips, and metrics do not depend on how they were computed."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Clip, Event, Splits, encode_events
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError
from efficient_sed.inference.evaluate import ClipScores, check_classes, evaluate_model, start_scores, task_metrics
from efficient_sed.metrics.contracts import ClipMetric, Setting
from efficient_sed.models.factory import create_model
from efficient_sed.models.sed import SedModel

DURATIONS_S = (3.0, 20.0, 7.3, 0.03)
CLASSES = ("dog", "siren")


@pytest.fixture
def windows() -> EvaluationWindows:
    clips = [
        Clip(f"clip{i}", AudioFile(Path("unused")), duration_s, (Event(0.0, duration_s, "siren"),))
        for i, duration_s in enumerate(DURATIONS_S)
    ]
    return EvaluationWindows(clips, CLASSES, create_model("fmn04", num_classes=2).grid, 5)


def add_window(collected: ClipScores, index: int) -> None:
    """Scores that tell which frame of the clip they belong to; clip logits that tell the window."""
    first = round(collected.dataset.windows[index][1].start_s / 0.04)
    frames = torch.arange(first, first + 126).float().div(1000).expand(1, len(CLASSES), -1)
    collected.add(torch.tensor([index]), frames, torch.tensor([[float(index), -float(index)]]))


@pytest.mark.parametrize("order", [1, -1])
def test_windows_are_put_together(windows: EvaluationWindows, order: int) -> None:
    collected = ClipScores(windows, keeps_scores=True)
    assert len(windows) > len(DURATIONS_S)
    for index in range(len(windows))[::order]:
        add_window(collected, index)
    clips, (events, scores) = collected.clips(), collected.events_and_scores()
    assert [clip.id for clip in clips] == list(events) == list(scores) == ["clip0", "clip1", "clip2", "clip3"]
    for clip in clips:
        frames = np.arange(math.ceil(round(clip.duration_s / 0.04, 6)))
        np.testing.assert_allclose(scores[clip.id], np.repeat(frames[:, None] / 1000, 2, axis=1), atol=1e-6)


def test_clips_that_miss_a_window_are_left_out(windows: EvaluationWindows) -> None:
    recorder = Recorder("tagging")
    collected = ClipScores(windows, [recorder])
    missing = next(i for i, (clip, _) in enumerate(windows.windows) if clip == 1)
    for index in range(len(windows)):
        if index != missing:
            add_window(collected, index)
    assert [clip.id for clip in collected.clips()] == ["clip0", "clip2", "clip3"]
    assert list(recorder.scores_by_clip) == ["clip0", "clip2", "clip3"]


class Recorder(ClipMetric):
    """A metric that remembers which clips it saw."""

    def __init__(self, task: Any = "detection") -> None:
        self.task = task  # type: ignore[misc]
        self.seen: list[tuple[str, tuple[int, ...], list[Event], float]] = []
        self.scores_by_clip: dict[str, list[Any]] = {}

    @classmethod
    def create(cls, setting: Setting) -> Recorder:
        del setting
        return cls()

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        self.seen.append((clip_id, scores.shape, list(events), duration_s))
        self.scores_by_clip[clip_id] = scores.tolist()

    def merge(self, other: Recorder) -> None:
        self.seen += other.seen

    def metrics(self) -> dict[str, Any]:
        return {"num_seen": len(self.seen), "variant": {"recorder": 1}}


def test_metrics_see_each_clip_as_soon_as_it_is_whole(windows: EvaluationWindows) -> None:
    first, second = Recorder(), Recorder()
    collected = ClipScores(windows, [first, second], median_frames=3)
    for index, (clip, _) in enumerate(windows.windows):
        add_window(collected, index)
        is_last = index + 1 == len(windows) or windows.windows[index + 1][0] != clip
        assert len(first.seen) == len(second.seen) == clip + is_last
    assert [entry[0] for entry in first.seen] == ["clip0", "clip1", "clip2", "clip3"]
    assert first.seen == second.seen
    assert first.seen[1][1:] == ((500, 2), [Event(0.0, 20.0, "siren")], 20.0)
    assert task_metrics(collected, "detection") == {"num_seen": 4, "variant": {"recorder": 1, "median_frames": 3}}
    with pytest.raises(RuntimeError, match=r"^scores were dropped"):
        collected.events_and_scores()


@pytest.mark.parametrize("task", ["detection", "tagging"])
def test_several_processes_become_one(windows: EvaluationWindows, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    """Windows are dealt out in turn, so that clips are split among the processes."""
    alone = start_scores(windows, task, EvaluationConfig(max_efpr=10_000.0), 3, keeps_scores=True)
    parts = [start_scores(windows, task, EvaluationConfig(max_efpr=10_000.0), 3, keeps_scores=True) for _ in range(3)]
    generator = torch.Generator().manual_seed(0)
    for index in range(len(windows)):
        for collected in (alone, parts[index % 3]):
            generator.manual_seed(index)
            collected.add(
                torch.tensor([index]),
                torch.rand(1, 2, 126, generator=generator),
                torch.randn(1, 2, generator=generator),
            )
    sent: list[Any] = []
    distributed = torch.distributed
    for name, value in (("is_available", True), ("is_initialized", True), ("get_world_size", 3)):
        monkeypatch.setattr(distributed, name, lambda value=value: value)
    monkeypatch.setattr(distributed, "all_gather_object", lambda _, own: sent.append(pickle.dumps(own)))
    for part in parts:
        with contextlib.suppress(TypeError):  # nothing came back yet
            part.gather()
    for part in parts:
        monkeypatch.setattr(
            distributed,
            "all_gather_object",
            lambda received, _: received.__setitem__(slice(None), map(pickle.loads, sent)),
        )
        part.gather()
        assert part.clips() == alone.clips()
        assert task_metrics(part, task) == task_metrics(alone, task)
        for clip, scores in part.events_and_scores()[1].items():
            np.testing.assert_array_equal(scores, alone.events_and_scores()[1][clip])


def test_a_clip_takes_its_highest_logits(windows: EvaluationWindows) -> None:
    recorder = Recorder("tagging")
    collected = ClipScores(windows, [recorder])
    for index in range(len(windows)):
        add_window(collected, index)
    owners = np.array([clip for clip, _ in windows.windows])
    expected = [[np.flatnonzero(owners == clip).max(), -np.flatnonzero(owners == clip).min()] for clip in range(4)]
    assert list(recorder.scores_by_clip.values()) == expected


def test_median_filter_comes_before_the_metric(windows: EvaluationWindows) -> None:
    clip = Clip("clip", AudioFile(Path("unused")), 4.8, (Event(0.0, 2.4, "siren"),))
    scores = torch.zeros(1, 2, 126)
    scores[:, 1, :60] = 0.9
    scores[:, 1, 20:22] = 0.0  # a gap of two frames
    for median_frames, expected in ((9, 1.0), (1, 0.0)):
        collected = start_scores(
            EvaluationWindows([clip], CLASSES, windows.grid, 5),
            "detection",
            EvaluationConfig(gtc=1.0),
            median_frames,
        )
        collected.add(torch.tensor([0]), scores, torch.zeros(1, 2))
        assert task_metrics(collected, "detection")["psds_macro"] == expected  # another gtc is not PSDS1


@pytest.mark.parametrize("task", ["detection", "tagging"])
def test_nothing_scored(windows: EvaluationWindows, task: str) -> None:
    with pytest.raises(DataError, match=r"^nothing to score: of 4 clips none could be read$"):
        task_metrics(start_scores(windows, task, EvaluationConfig(), 9), task)


@pytest.fixture(scope="module")
def model(tiny_data: Splits) -> SedModel:
    torch.manual_seed(1)
    return create_model("fmn04+gru-16", classes=tiny_data.classes)


def evaluate(model: SedModel, splits: Splits, clip_seconds: int = 3, **options: Any) -> dict[str, Any]:
    dataset = EvaluationWindows(splits.test, splits.classes, model.grid, clip_seconds)
    settings: dict[str, Any] = {
        "task": "detection",
        "config": EvaluationConfig(max_efpr=10_000.0),
        "median_frames": 3,
        "batch_size": 4,
        "num_workers": 0,
        "on_error": "raise",
    }
    return evaluate_model(model, dataset, **settings | options)


@pytest.mark.parametrize(("task", "metric"), [("detection", "psds_macro"), ("tagging", "map")])
def test_batches_and_workers_change_nothing(model: SedModel, tiny_data: Splits, task: str, metric: str) -> None:
    model.train()
    first = evaluate(model, tiny_data, task=task, batch_size=1)
    assert first["coverage"] == {"clips_expected": 4, "clips_scored": 4, "unreadable": []}
    assert 0 <= first[metric] <= 1
    assert evaluate(model, tiny_data, task=task, batch_size=3) == first
    assert evaluate(model, tiny_data, task=task, num_workers=1) == first


def test_results_carry_every_metric_and_its_variant(model: SedModel, tiny_data: Splits) -> None:
    result = evaluate(model, tiny_data)
    variant = result.pop("variant")
    assert (variant["median_frames"], variant["max_efpr"]) == (3, 10_000.0)
    assert (
        variant["segment_max_fpr"],
        variant["frame_threshold"],
        variant["event_threshold"],
        variant["event_collar_s"],
    ) == (0.1, 0.5, 0.5, 0.2)
    for name in ("segment_pauroc", "frame_f1", "event_f1", "event_f1_macro", "event_onset_f1", "event_onset_f1_macro"):
        assert 0 <= result[name] <= 1
    assert result["frame_error_rate"] >= 0
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_perfect_scores_are_perfect_in_every_metric(windows: EvaluationWindows) -> None:
    clips = [Clip(f"clip{i}", AudioFile(Path("unused")), 4.8, (Event(i + 0.2, i + 1.2, CLASSES[i]),)) for i in range(2)]
    dataset = EvaluationWindows(clips, CLASSES, windows.grid, 5)
    collected, tagged = (start_scores(dataset, task, EvaluationConfig(), 1) for task in ("detection", "tagging"))
    for i, clip in enumerate(clips):
        targets = torch.from_numpy(encode_events(clip.events, CLASSES, windows.grid, 126))[None]
        for scores in (collected, tagged):
            scores.add(torch.tensor([i]), targets, targets.amax(-1))
    metrics = task_metrics(collected, "detection")
    names = (
        "psds1_macro",
        "psds1",
        "segment_pauroc",
        "frame_f1",
        "event_f1",
        "event_f1_macro",
        "event_onset_f1",
        "event_onset_f1_macro",
    )
    assert {name: metrics[name] for name in names} == dict.fromkeys(names, 1.0)
    assert metrics["frame_error_rate"] == 0
    metrics = task_metrics(tagged, "tagging")
    assert {name: metrics[name] for name in ("map", "mauc", "dprime", "accuracy")} == {
        "map": 1.0,
        "mauc": 1.0,
        "dprime": None,
        "accuracy": 1.0,
    }


def test_unreadable_files_lower_the_coverage(model: SedModel, tiny_data: Splits, tmp_path: Path) -> None:
    good, bad, *rest = tiny_data.test
    samples, rate = soundfile.read(str(bad.audio))
    path = tmp_path / "cut.flac"
    soundfile.write(path, samples, rate)
    path.write_bytes(path.read_bytes()[:2000])
    splits = replace(tiny_data, test=(good, replace(bad, audio=AudioFile(path)), *rest))
    with pytest.raises(DataError, match=rf"^{path}: .*; data\.on_error=skip leaves such files out$"):
        evaluate(model, splits)
    coverage = evaluate(model, splits, on_error="skip")["coverage"]
    assert (coverage["clips_expected"], coverage["clips_scored"]) == (4, 3)
    (message,) = coverage["unreadable"]
    assert message.startswith(f"{path}: damaged audio")


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (("dog", "cat"), "'siren' against 'cat'"),
        (("siren", "dog"), "'dog' against 'siren'"),
        (("dog",), "2 against 1 labels"),
        (("dog", "siren", "cat"), "2 against 3 labels"),
    ],
)
def test_other_classes_are_refused(classes: tuple[str, ...], difference: str) -> None:
    own = create_model("fmn04", classes=CLASSES)
    check_classes(own, CLASSES)
    with pytest.raises(DataError, match="different class lists") as caught:
        check_classes(own, classes)
    assert f"({difference})" in str(caught.value)


@pytest.mark.parametrize("task", ["detection", "tagging"])
def test_metrics_over_some_of_the_classes(windows: EvaluationWindows, task: str) -> None:
    """Of three classes two are evaluated: the third changes nothing, whether it is scored or occurs."""
    clips = [
        replace(clip, events=(*clip.events, Event(0.0, clip.duration_s / 2, "dog" if index % 2 else "cat")))
        for index, clip in enumerate(windows.clips)
    ]
    plain = [replace(clip, events=tuple(event for event in clip.events if event.label != "cat")) for clip in clips]
    grid, rng = windows.grid, np.random.default_rng(0)
    some, two = (
        start_scores(dataset, task, EvaluationConfig(), 1)
        for dataset in (
            EvaluationWindows(clips, ("dog", "cat", "siren"), grid, 5, ("siren", "dog")),
            EvaluationWindows(plain, ("dog", "siren"), grid, 5),
        )
    )
    for index in range(len(windows)):
        frames, logits = (torch.from_numpy(rng.random(shape, dtype=np.float32)) for shape in ((1, 3, 126), (1, 3)))
        some.add(torch.tensor([index]), frames, logits)
        two.add(torch.tensor([index]), frames[:, [0, 2]], logits[:, [0, 2]])
    result, reference = (task_metrics(collected, task) for collected in (some, two))
    assert result.pop("variant") == {**reference.pop("variant"), "num_classes_evaluated": 2}
    assert result == reference


@pytest.mark.parametrize("task", ["detection", "tagging"])
def test_classes_that_a_clip_is_not_annotated_for_are_never_found(windows: EvaluationWindows, task: str) -> None:
    """Nobody looked for sirens in one clip: what is found there is no false alarm."""
    clips = [
        replace(windows.clips[0], events=(), subset="dogs", annotated=("dog",)),
        replace(windows.clips[1], events=(Event(0.0, 20.0, "siren"),)),
    ]
    recorder = Recorder(task)
    collected = ClipScores(EvaluationWindows(clips, CLASSES, windows.grid, 20), [recorder])
    frames = torch.full((2, 2, 500), 0.9)
    collected.add(torch.tensor([0, 1]), frames, torch.full((2, 2), 5.0))
    masked, whole = (np.array(recorder.scores_by_clip[name]) for name in ("clip0", "clip1"))
    assert (masked[..., 0].min(), whole.min()) == pytest.approx((0.9, 0.9) if task == "detection" else (5.0, 5.0))
    assert masked[..., 1].max() <= 0
