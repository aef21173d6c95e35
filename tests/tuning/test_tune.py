"""Post-processing chosen on validation scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError
from efficient_sed.metrics.contracts import Setting, create_metrics
from efficient_sed.metrics.event.sweep import EventCurves
from efficient_sed.metrics.psds.parameters import PSDS1
from efficient_sed.metrics.psds.score import psds1
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.change_points import ChangePoints
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.median import Median
from efficient_sed.tuning._coarsen import coarsen
from efficient_sed.tuning.clips import ScoredClip, ScoredClips
from efficient_sed.tuning.scores import TunedScores
from efficient_sed.tuning.sides import EventSide, PsdsSide, gain
from efficient_sed.tuning.tables import HIGHEST, LEVELS, _floors, candidates_of, event_table, psds_table
from efficient_sed.tuning.tune import Tuning, tune

CLASSES, GRID = ("short", "long", "rare"), FrameGrid()
LENGTHS = {"short": 3, "long": 60, "rare": 60}  # frames
MEDIANS = EvaluationConfig(event_postprocessing=("median",), min_events=5, tune_folds=4)


@pytest.fixture(scope="module")
def clips() -> ScoredClips:
    """Short events are clear; long ones flicker, so that a long window finds them, which would erase the short ones."""
    rng, made = np.random.default_rng(0), []
    for number in range(24):
        scores, events = rng.uniform(0, 0.2, (250, 3)), []
        for column, label in enumerate(CLASSES):
            if label == "rare" and number not in (3, 17):
                continue
            first = int(rng.integers(10, 180))
            last = first + LENGTHS[label]
            active = rng.uniform(0.3, 0.45, last - first)
            if label != "short":
                active[np.repeat(rng.uniform(size=len(active) // 4) < 0.3, 4)] = 0.1
            scores[first:last, column] = active
            events.append(Event(round(first * 0.04, 6), round(last * 0.04, 6), label))
        made.append(ScoredClip(f"clip{number:02}", scores.astype(np.float32), events, 10.0))
    return ScoredClips(CLASSES, GRID, made)


def _perfect(clip: ScoredClip, score: float, elsewhere: float = 0.01) -> np.ndarray:
    """Scores that find every event."""
    scores = np.full(clip.scores.shape, elsewhere, np.float32)
    for event in clip.events:
        first, last = round(event.onset_s / GRID.hop_s), round(event.offset_s / GRID.hop_s)
        scores[first:last, CLASSES.index(event.label)] = score
    return scores


@pytest.fixture(scope="module")
def tuned(clips: ScoredClips) -> Tuning:
    return tune(clips, MEDIANS, 1)


def test_windows_suit_each_class(tuned: Tuning) -> None:
    (median,) = tuned.postprocessing.scores.steps
    assert isinstance(median, Median)
    assert isinstance(median.window, tuple)
    short, long, rare = median.window
    assert short <= 5 < long
    (shared,) = tuned.shared.scores.steps
    assert rare == shared.values()["window"]  # two events are too few for a window of its own
    assert tuned.report["classes_with_few_events"] == ["rare"]
    assert tuned.report["scores"]["per_class"]
    assert tuned.report["scores"]["metric"] == "psds1_macro"
    assert tuned.report["scores"]["pi_psds"] >= tuned.report["scores"]["tuned"]
    assert "pi_psds" not in tuned.report["events"]
    assert tuned.report["events"]["metric"] == "event_f1_macro"


@pytest.mark.parametrize("part", ["scores", "events"])
def test_gain_is_real_and_has_an_interval(tuned: Tuning, part: str) -> None:
    report = tuned.report[part]
    assert report["gain"] == pytest.approx(report["tuned"] - report["untuned"])
    assert report["gain"] > 0.04
    low, high = report["gain_ci95"]
    assert 0 < low <= report["gain"] <= high


def test_thresholds_lie_where_events_are_found(tuned: Tuning, clips: ScoredClips) -> None:
    """At 0.5 nothing is active; the rare class shares."""
    thresholds = tuned.postprocessing.thresholds
    assert thresholds is not None
    assert all(0.2 < threshold < 0.45 for threshold in thresholds[:2])
    curves = EventCurves(CLASSES, GRID)
    for clip in clips.clips:
        scores = tuned.postprocessing.events.apply(clip.scores, GRID.hop_s)
        curves.add(clip.id, scores, clip.events, clip.duration_s)
    assert curves.best().thresholds[:2] == pytest.approx(thresholds[:2])
    assert curves.f1_at(0.5).macro_f1 == 0


def test_order_of_clips_does_not_matter(tuned: Tuning, clips: ScoredClips) -> None:
    turned = dataclasses.replace(clips, clips=clips.clips[::-1])
    again = tune(turned, MEDIANS, 1)
    assert again.postprocessing == tuned.postprocessing
    assert again.report == tuned.report


def test_folds_are_equal_and_belong_to_ids(clips: ScoredClips) -> None:
    folds = clips.folds(5)
    assert sorted(np.bincount(folds)) == [4, 5, 5, 5, 5]
    turned = dataclasses.replace(clips, clips=clips.clips[::-1])
    assert (turned.folds(5)[::-1] == folds).all()


def test_choice_of_a_fold_never_saw_it(clips: ScoredClips) -> None:
    """The table's values of a fold are those of the other clips, scored from scratch."""
    folds = clips.folds(4)
    weights = np.array([folds != fold for fold in range(5)]).astype(np.int64)
    chains = [Chain((Median(window),)) for window in (1, 31)]
    table = psds_table(chains, clips, weights, PSDS1)
    events = event_table(chains, clips, weights, MEDIANS)
    for fold in (0, -1):
        outside = [clip for clip, own in zip(clips.clips, folds, strict=True) if fold == -1 or own != fold]
        for index, chain in enumerate(chains):
            scores = {clip.id: chain.apply(clip.scores, GRID.hop_s) for clip in outside}
            truth, lengths = {clip.id: clip.events for clip in outside}, {clip.id: 10.0 for clip in outside}
            result = psds1(scores, truth, lengths, classes=CLASSES, frame_hop_s=GRID.hop_s)
            expected = [result.per_class.get(label, np.nan) for label in CLASSES]
            assert table.values[index, fold] == pytest.approx(expected, nan_ok=True, abs=1e-12)
            curves = EventCurves(CLASSES, GRID)
            for clip in outside:
                curves.add(clip.id, scores[clip.id], clip.events, clip.duration_s)
            assert events.values[index, fold] == pytest.approx(curves.best().f1, nan_ok=True, abs=1e-12)


def test_few_events_share_everything(clips: ScoredClips) -> None:
    found = tune(clips, dataclasses.replace(MEDIANS, min_events=1000), 1).postprocessing
    for chain in (found.scores, found.events):
        for step in chain.steps:
            assert not any(isinstance(value, tuple) for value in step.values().values())
    assert found.thresholds is not None
    assert len(set(found.thresholds)) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_to_tune_on(clips: ScoredClips, count: int, caplog: pytest.LogCaptureFixture) -> None:
    found = tune(dataclasses.replace(clips, clips=clips.clips[:count]), MEDIANS, 9)
    assert found.postprocessing == Postprocessing.untuned(9)
    assert f"{count} validation clips" in caplog.text
    assert "too few" in found.report["missing"]


def test_clips_without_events_are_nothing_to_tune_on(clips: ScoredClips) -> None:
    silent = [clip._replace(events=[]) for clip in clips.clips]
    found = tune(dataclasses.replace(clips, clips=silent), MEDIANS, 1)
    assert found.postprocessing == Postprocessing.untuned(1)
    assert "24 validation clips with 0 events" in found.report["missing"]


def test_events_in_one_fold_are_nothing_to_tune_on(clips: ScoredClips) -> None:
    """Without that fold there would be no events to choose by."""
    few = [clip if index == 7 else clip._replace(events=[]) for index, clip in enumerate(clips.clips)]
    found = tune(dataclasses.replace(clips, clips=few), MEDIANS, 1)
    assert found.postprocessing == Postprocessing.untuned(1)
    assert "24 validation clips with 2 events" in found.report["missing"]


def test_saturated_scores_have_a_threshold_below_one(clips: ScoredClips) -> None:
    """Sigmoids in single precision reach 1; a threshold between that and the next number would be 1, too."""
    below = np.nextafter(np.float32(1), np.float32(0))
    saturated = [clip._replace(scores=_perfect(clip, 1.0, below)) for clip in clips.clips]
    few = np.array([[index % 4 != fold for index in range(24)] for fold in range(5)]).astype(np.int64)
    table = event_table([Chain()], dataclasses.replace(clips, clips=saturated), few, MEDIANS)
    assert table.values.min() == 1
    assert Postprocessing(thresholds=tuple(table.thresholds[0, -1])).thresholds == (HIGHEST,) * 3


def test_scores_without_worth_stay_as_they_are(clips: ScoredClips) -> None:
    """Where cross-validation finds nothing better, nothing is changed."""
    perfect = [clip._replace(scores=_perfect(clip, 0.99)) for clip in clips.clips]
    found = tune(dataclasses.replace(clips, clips=perfect), MEDIANS, 1)
    assert found.postprocessing.scores == found.postprocessing.events == Chain()
    assert found.postprocessing.thresholds is None
    assert found.report["scores"]["method"] == "untuned"
    assert found.report["scores"]["gain"] == 0


def test_objectives(clips: ScoredClips) -> None:
    events = tune(clips, dataclasses.replace(MEDIANS, tune="event_f1"), 1)
    assert events.postprocessing.scores == events.postprocessing.events
    assert "scores" not in events.report
    psds2 = tune(clips, dataclasses.replace(MEDIANS, tune="psds2"), 1)
    assert psds2.report["scores"]["metric"] == "psds2_macro"
    assert psds2.postprocessing.notes["tuned_for"] == "psds2"


def test_candidates() -> None:
    assert candidates_of("none", 0.04) == [Chain()]
    medians, chains = candidates_of("median", 0.04), candidates_of("median+median", 0.04)
    assert len(medians) == 20
    assert len(chains) == len(medians) ** 2
    with pytest.raises(ConfigError, match="unknown post-processing method 'medain'; did you mean 'median'"):
        candidates_of("medain", 0.04)


def test_classes_without_scores_share(tuned: Tuning) -> None:
    """A model has more classes than are evaluated."""
    whole = tuned.spread([4, 0, 2], 5)
    own, shared = tuned.postprocessing, tuned.shared
    assert whole.select([4, 0, 2]) == own
    assert whole.thresholds is not None
    assert shared.thresholds is not None
    assert whole.thresholds[1] == whole.thresholds[3] == shared.thresholds[0]
    (median,), (common,) = whole.scores.steps, shared.scores.steps
    assert median.of_class(1) == common


def test_gain_of_nothing_is_nothing(clips: ScoredClips) -> None:
    sides = [EventSide(CLASSES, GRID, MEDIANS) for _ in range(2)]
    for clip in clips.clips:
        for side in sides:
            side.add(clip, clip.scores, np.full(3, 0.3))
    entry = gain(*sides)
    assert (entry["gain"], entry["gain_ci95"]) == (0, [0, 0])


def test_tuned_scores_of_other_clips(tuned: Tuning, clips: ScoredClips) -> None:
    """What an evaluation adds equals the metrics of scores that were post-processed by hand."""
    setting = Setting(CLASSES, [10.0] * len(clips.clips), GRID, MEDIANS, keeps_clips=True)
    metrics, beside = create_metrics("detection", setting), TunedScores(setting, tuned.postprocessing, 1)
    side = PsdsSide.start(CLASSES, [10.0] * len(clips.clips), GRID.hop_s, PSDS1)
    for clip in clips.clips:
        beside.update(clip)
        for metric in metrics:
            metric.update(*clip)
        side.add(clip, tuned.postprocessing.scores.apply(clip.scores, GRID.hop_s), np.zeros(3))
    entries = beside.entries(metrics)
    assert entries["psds1_macro_tuned"] == pytest.approx(side.macro(), abs=1e-12)
    assert entries["event_f1_macro_tuned"] == pytest.approx(entries["gain_of_tuning"]["events"]["tuned"], abs=1e-12)
    assert entries["gain_of_tuning"]["scores"]["tuned"] == pytest.approx(side.macro(), abs=1e-12)
    assert entries["per_class_events_tuned"]["short"]["threshold"] == tuned.postprocessing.thresholds[0]  # type: ignore[index]
    assert entries["variant_tuned"]["postprocessing"] == "median"


@pytest.mark.parametrize("chain", [Chain((Median(31),)), Chain((ChangePoints(),))])
def test_clips_side_by_side(clips: ScoredClips, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one after the other, also where lengths differ."""
    monkeypatch.setattr("efficient_sed.tuning.clips.MAX_COLUMNS", 3 * len(CLASSES) + 1)
    some = [clip._replace(scores=clip.scores[: 100 if index < 4 else 250]) for index, clip in enumerate(clips.clips)]
    found = list(dataclasses.replace(clips, clips=some).processed(chain))
    assert [clip.id for clip, _ in found] == [clip.id for clip in some]
    for clip, scores in found:
        assert np.array_equal(scores, chain.apply(clip.scores, GRID.hop_s))


def test_low_thresholds_are_looked_at_on_levels(clips: ScoredClips) -> None:
    """Where clips without a class are many, F1 at its best threshold and at every level is what it was."""
    rng, levels = np.random.default_rng(3), np.array(LEVELS, np.float32)
    noise = [rng.uniform(0, 1, (250, 3)).astype(np.float32) ** 40 for _ in range(60)]
    many = [clip._replace(scores=_perfect(clip, 0.6)) for clip in clips.clips]
    many += [ScoredClip(f"noise{number}", scores, [], 10.0) for number, scores in enumerate(noise)]
    more = dataclasses.replace(clips, clips=many)
    table, curves = event_table([Chain()], more, np.ones((1, len(many)), np.int64), MEDIANS), EventCurves(CLASSES, GRID)
    for clip in many:
        curves.add(clip.id, clip.scores, clip.events, clip.duration_s)
    best, at_levels = curves.best(), max(curves.f1_at_each(LEVELS), key=lambda counts: counts.macro_f1)
    assert 0.1 < best.f1[:2].max() < 0.9
    assert table.values[0, 0, :2] == pytest.approx(best.f1[:2], abs=1e-12)
    assert table.shared_values[0, 0] == pytest.approx(at_levels.f1, abs=1e-12)
    floors = _floors(more, np.array([clip.scores.max(axis=0) for clip in many]))
    assert (floors[:2] == 0).all()
    assert floors[2] == sorted(scores[:, 2].max() for scores in noise)[-38]  # it has two events
    joined = np.concatenate(noise)
    lowered = coarsen(joined, floors, levels)
    assert len(np.unique(lowered)) < len(np.unique(joined))
    for threshold in [*levels, floors[2], np.float32(0.97)]:
        assert ((lowered >= threshold) == (joined >= threshold)).all()
