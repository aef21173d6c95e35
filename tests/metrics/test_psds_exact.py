"""The project's own PSDS equals sed_scores_eval's, however clips come and however much is left out on the way."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from efficient_sed.errors import ConfigError, DataError
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.result import PsdsResult
from efficient_sed.metrics.psds.roc import max_alarms, rate
from efficient_sed.metrics.psds.score import psds1

CLASSES = ("a", "b", "c")


class Case(NamedTuple):
    scores: dict[str, np.ndarray]
    truth: dict[str, list[tuple[float, float, str]]]
    durations: dict[str, float]
    hop_s: float
    parameters: PsdsParameters

    def by_psds1(self, **options: Any) -> PsdsResult:
        options = asdict(self.parameters) | options
        return psds1(self.scores, self.truth, self.durations, classes=CLASSES, frame_hop_s=self.hop_s, **options)

    def accumulate(
        self, clips: Sequence[str], announced: Sequence[float] | None = None, *, keeps_clips: bool = False
    ) -> PsdsAccumulator:
        accumulator = PsdsAccumulator(
            CLASSES,
            announced or list(self.durations.values()),
            frame_hop_s=self.hop_s,
            parameters=self.parameters,
            keeps_clips=keeps_clips,
        )
        for clip in clips:
            accumulator.update(clip, self.scores[clip], self.truth[clip], self.durations[clip])
        return accumulator


def make_case(seed: int, *, num_clips: int | None = None, many_events: bool = False) -> Case:
    """Scores of few or many levels that know something of the events.

    Clips without events, events at and behind the borders.
    """
    rng = np.random.default_rng(seed)
    clips = [f"clip{index}" for index in range(num_clips or rng.integers(1, 9))]
    hop_s = float(rng.choice([0.04, 0.1, 1024 / 44100, 1 / 3]))
    scores, truth, durations = {}, {}, {}
    kind, num_levels = (
        rng.choice(["levels", "sigmoid", "half", "double", "constant", "infinite"]),
        int(rng.integers(2, 40)),
    )
    for clip in clips:
        T = int(rng.choice([1, 2, 7, 60]))
        T = 200 if many_events else T
        durations[clip] = float(np.round(T * hop_s, 6)) - (hop_s / 3 if rng.random() < 0.3 else 0.0)
        length_s, events = durations[clip], []
        for _ in range(rng.integers(0, 40 if many_events else 4)):
            onset = float(rng.choice([0.0, np.round(rng.uniform(0, length_s), 3), np.floor(rng.uniform(0, T)) * hop_s]))
            offset = float(
                rng.choice(
                    [length_s, onset + 0.05 + rng.uniform(0, length_s / 8 if many_events else length_s), length_s + 1]
                )
            )
            if offset > onset:
                events.append((onset, offset, str(rng.choice(CLASSES[:2], p=[0.8, 0.2]))))
        array = rng.normal(size=(T, 3)) + np.repeat(rng.normal(size=(T // 5 + 1, 3)), 5, axis=0)[:T]
        for onset, offset, label in events:
            array[round(onset / hop_s) : round(offset / hop_s), CLASSES.index(label)] += rng.choice([0.0, 1.5, 3.0])
        array = 1 / (1 + np.exp(-2 * array))
        if kind == "levels":
            array = np.round(array * num_levels) / num_levels
        elif kind == "half":
            array = array.astype(np.float16)
        elif kind == "constant":
            array[:, rng.integers(3)] = 0.5
        elif kind == "infinite":
            array[rng.random(array.shape) < 0.2] = -np.inf
        array = array if kind in ("half", "double") else array.astype(np.float32)
        scores[clip], truth[clip] = (array[::-1][::-1] if rng.random() < 0.5 else np.asfortranarray(array)), events
    truth[clips[0]].append((0.0, durations[clips[0]] / 2, "a"))  # one at least
    hours = math.fsum(durations.values()) / 3600
    parameters = PsdsParameters(
        *rng.choice([0.1, 0.5, 0.7, 1.0], 2).tolist(),
        alpha_st=float(rng.choice([0.0, 1.0])),
        max_efpr=float(rng.choice([0.5, 3, 8.2, 1000]) / hours),
    )
    if rng.random() < 0.5:
        parameters = replace(parameters, cttc=float(rng.choice([0.1, 0.3, 1.0])), alpha_ct=float(rng.choice([0.5, 2])))
    return Case(scores, truth, durations, hop_s, parameters)


def assert_equal(own: PsdsResult, other: PsdsResult, tolerance: float = 1e-9) -> None:
    assert own.per_class == pytest.approx(other.per_class, abs=tolerance)
    assert (own.psds, own.macro) == pytest.approx((other.psds, other.macro), abs=tolerance)


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_equals_the_library(seed: int) -> None:
    case = make_case(seed)
    own = case.by_psds1()
    try:
        library = case.by_psds1(back_end="sed_scores_eval")
    except DataError as error:
        assert "no threshold changes the counts" in str(error)  # noqa: PT017
        assume(False)
    assert_equal(own, library)
    axis = np.linspace(0, case.parameters.max_efpr, 50)[:-1] * (1 + 1e-9)
    curves = [result.roc.etpr[np.searchsorted(result.roc.efpr, axis, side="right") - 1] for result in (own, library)]
    np.testing.assert_allclose(*curves, atol=1e-9)


@pytest.mark.parametrize("back_end", ["exact", "sed_scores_eval"])
@pytest.mark.parametrize(("gtc", "expected"), [(0.7, 0.0), (0.3, 1.0)])
def test_what_lies_behind_the_clip_counts(back_end: Any, gtc: float, expected: float) -> None:
    """As in sed_scores_eval: no detection reaches it. Data sets cut their events at the clip's end before."""
    result = psds1(
        {"x": np.array([[0.1], [0.9]])},
        {"x": [(0.5, 1.7, "a")]},  # of 1.2 s the clip holds 0.5
        {"x": 1.0},
        classes=["a"],
        frame_hop_s=0.5,
        gtc=gtc,
        back_end=back_end,
    )
    assert result.macro == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
def test_many_events_of_a_class_in_a_clip(seed: int) -> None:
    """Numpy sums eight and more terms in another order; rounding to microseconds makes that harmless."""
    case = make_case(seed, num_clips=3, many_events=True)
    assert max(sum(event[2] == "a" for event in events) for events in case.truth.values()) >= 8
    assert_equal(case.by_psds1(), case.by_psds1(back_end="sed_scores_eval"))


def test_the_cases_are_not_trivial() -> None:
    values = [make_case(seed).by_psds1() for seed in range(40)]
    assert sum(0 < value.macro < 1 for value in values) >= 20


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.data())
def test_order_and_processes_change_nothing(seed: int, data: st.DataObject) -> None:
    case = make_case(seed)
    clips = data.draw(st.permutations(list(case.scores)))
    border = data.draw(st.integers(0, len(clips)))
    whole = case.accumulate(
        clips, [*case.durations.values(), 1e5]
    )  # far more was announced than came: nothing is left out
    first, second = case.accumulate(clips[:border]), pickle.loads(pickle.dumps(case.accumulate(clips[border:])))
    first.merge(second)
    result, expected = first.compute(), case.by_psds1()
    assert result.variant == expected.variant
    for other in (whole.compute(), expected, case.accumulate(clips, keeps_clips=True).compute()):
        assert_equal(result, other, tolerance=1e-13)


def noise(num_clips: int, num_levels: int = 0, seed: int = 0) -> Case:
    """Clips of 10 s, few with an event, and so many of them that the cut leaves most thresholds out."""
    rng = np.random.default_rng(seed)
    clips = [f"clip{index:04}" for index in range(num_clips)]
    scores = {clip: np.repeat(rng.random((25, 3)), 2, axis=0) for clip in clips}
    for index in range(0, num_clips, 7):
        scores[clips[index]][5:15, index % 2] = rng.choice([0.3, 0.8, 0.99])
    if num_levels:
        scores = {clip: np.ceil(array * num_levels) / num_levels for clip, array in scores.items()}
    truth: dict[str, list[tuple[float, float, str]]] = {
        clip: [(1.0, 3.0, CLASSES[index % 2])] if index % 7 == 0 else [] for index, clip in enumerate(clips)
    }
    return Case(scores, truth, dict.fromkeys(clips, 10.0), 0.2, PsdsParameters(0.3, 0.3, alpha_st=0.0))


def better(case: Case) -> Case:
    """The same clips with three of four events found."""
    scores = {clip: array.copy() for clip, array in case.scores.items()}
    for index, (clip, events) in enumerate(case.truth.items()):
        for onset, offset, label in events:
            if index % 4:
                scores[clip][round(onset / 0.2) : round(offset / 0.2), CLASSES.index(label)] = 1.0
    return case._replace(scores=scores)


@pytest.mark.parametrize("num_levels", [0, 5])
def test_leaving_out_what_the_cut_hides(num_levels: int) -> None:
    case = noise(400, num_levels)
    pruned, whole = case.accumulate(list(case.scores)), case.accumulate(list(case.scores), [1e6])
    kept, there = (sum(len(chunk.scores) for chunk in accumulator.entries.chunks()) for accumulator in (pruned, whole))
    assert kept < 0.8 * there
    result = pruned.compute()
    assert_equal(result, whole.compute(), tolerance=1e-13)
    assert_equal(result, case.by_psds1(back_end="sed_scores_eval"))
    assert result.macro > 0 or num_levels


def test_long_clips_with_large_counts() -> None:
    """More than 2**15 false alarms appear at one threshold, and more frames than the buffer has entries."""
    T = 300_000
    scores = {
        "long": np.where(np.arange(T) % 4 == 0, 0.9, 0.1)[:, None].repeat(3, axis=1),
        "short": np.full((5, 3), 0.5),
    }
    truth = {"long": [(0.0, 0.01, "a"), (100.0, 100.01, "b")], "short": []}
    case = Case(scores, truth, {"long": T * 0.01, "short": 0.05}, 0.01, PsdsParameters(max_efpr=1e6))
    (found,) = {value for label, value in case.by_psds1().per_class.items() if label == "b"}
    assert found == pytest.approx(1 - rate(T // 4 - 1, T * 0.01 + 0.05) / 1e6, abs=1e-9)


def test_how_many_alarms_the_cut_allows() -> None:
    assert [max_alarms(seconds, 100.0) for seconds in (1.0, 36.0, 35.999, 3600.0, 169_350.0)] == [0, 1, 0, 100, 4704]
    assert max_alarms(1e300, 100.0) == 2**53  # counted one by one it would take forever
    for seconds, max_efpr in itertools.product((0.1, 7.3, 1e4 / 3, 123_456.7), (1e-3, 1.0, 100.0, 1e6 / 3)):
        count = max_alarms(seconds, max_efpr)
        assert rate(count, seconds) <= max_efpr < rate(count + 1, seconds)


def confused() -> Case:
    """Before half of the a's are found, one b is taken for an a."""
    clips = [f"clip{index}" for index in range(4)]
    scores = {clip: np.full((50, 3), 0.05) for clip in clips}
    for index, array in enumerate(scores.values()):
        array[5:15, 0] = 0.9 if index < 2 else 0.3
        array[25:35, 1] = 0.8
    scores["clip0"][25:35, 0] = 0.6
    truth = {clip: [(1.0, 3.0, "a"), (5.0, 7.0, "b")] for clip in clips}
    return Case(scores, truth, dict.fromkeys(clips, 10.0), 0.2, PsdsParameters(alpha_st=0.0, max_efpr=1000.0))


@pytest.mark.parametrize("back_end", ["exact", "sed_scores_eval", "psds_eval"])
def test_every_back_end(back_end: Any) -> None:
    result = confused().by_psds1(back_end=back_end)
    assert result.per_class == pytest.approx({"a": (0.5 * 90 + 910) / 1000, "b": 1.0})
    assert (result.macro, result.psds) == pytest.approx((0.9775, 0.9775))
    assert (result.variant["back_end"], result.num_classes, result.num_clips) == (back_end, 2, 4)
    assert result.roc.macro_tpr[np.searchsorted(result.roc.efpr, [0.0, 89.9, 90.1], side="right") - 1] == pytest.approx(
        [0.75, 0.75, 1.0]
    )


@pytest.mark.parametrize("num_found", [0, 2])
def test_what_the_library_cannot_score(num_found: int) -> None:
    """Nothing is detected, or a detection that lies in the event and is too short for it.

    Neither hit nor false alarm.
    """
    scores = np.where(np.arange(10) < num_found, 0.5, -np.inf)[:, None].repeat(3, axis=1)
    case = Case({"x": scores}, {"x": [(0.0, 1.0, "a")]}, {"x": 1.0}, 0.1, PsdsParameters())
    assert case.by_psds1().per_class == {"a": 0.0}
    with pytest.raises(
        DataError,
        match=r"^back_end=sed_scores_eval fails where no threshold changes the counts of a class, .*; "
        "back_end=exact scores it$",
    ):
        case.by_psds1(back_end="sed_scores_eval")
    case = case._replace(truth={"x": [(0.0, 1.0, "a"), (0.0, 1.0, "b")]})
    with pytest.raises(DataError, match=r" fails where .* \(AssertionError: .*\); back_end=exact scores it$"):
        case.by_psds1(back_end="sed_scores_eval", cttc=0.3, alpha_ct=0.5)
    assert case.by_psds1(cttc=0.3, alpha_ct=0.5).per_class == {"a": 0.0, "b": 0.0}


LABELS = ("onset", "a\\b", "injected_psds_world_label", "offset", 'say "x"\t')


@settings(max_examples=6)  # psds_eval takes seconds
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
def test_every_back_end_agrees(seed: int, num_classes: int, has_cross_triggers: bool) -> None:
    """Two are equal, psds_eval with its few thresholds is no higher: one class, clip or frame, nothing found, ties."""
    rng = np.random.default_rng(seed)
    labels = list(rng.choice(LABELS, num_classes, replace=False))
    clips = [f"clip{index}" for index in range(rng.integers(1, 4))]
    scores, truth, durations, hop_s = {}, {}, {}, 0.25
    for clip in clips:
        T = int(rng.choice([1, 2, 12]))
        levels = int(rng.choice([1, 3, 50]))
        scores[clip] = np.repeat(rng.integers(0, levels, (-(-T // 2), num_classes)), 2, axis=0)[:T] * 0.02
        durations[clip] = T * hop_s
        begins = [(first, str(label)) for label in labels for first in rng.integers(0, T, rng.integers(0, 3))]
        truth[clip] = [(first * hop_s, (first + 1 + rng.integers(3)) * hop_s, label) for first, label in begins]
        for onset, offset, label in truth[clip]:
            found = slice(int(onset / hop_s), int(offset / hop_s))
            scores[clip][found, labels.index(label)] += rng.choice([0.0, 0.5, 0.5, 0.5])
    scores = {clip: np.clip(array, 0.02, 0.98) for clip, array in scores.items()}  # within the thresholds
    assume(any(truth.values()))
    options: dict[str, Any] = {"dtc": 0.55, "gtc": 0.55, "max_efpr": 2000.0}  # no share of so few frames is a tie
    cross: dict[str, Any] = {"cttc": 0.3, "alpha_ct": 0.5} if has_cross_triggers else {}
    names: list[Any] = ["sed_scores_eval", "psds_eval", "exact"]
    options |= {"classes": labels, "frame_hop_s": hop_s} | cross
    results = []
    for name in names:
        try:
            results.append(psds1(scores, truth, durations, back_end=name, **options))
        except DataError as error:
            assert name == "sed_scores_eval" and "no threshold changes the counts" in str(error)  # noqa: PT017, PT018
    for other in results[1:]:
        if "psds_eval" in (name_of := {result.variant["back_end"]: result for result in (results[0], other)}):
            low, high = name_of.pop("psds_eval"), next(iter(name_of.values()), other)
            assert all(low.per_class[label] <= high.per_class[label] + 1e-9 for label in low.per_class)
        else:
            assert_equal(results[0], other)


@pytest.mark.parametrize("options", [{}, {"cttc": 0.3, "alpha_ct": 0.5}])
@pytest.mark.parametrize("back_end", ["exact", "sed_scores_eval", "psds_eval"])
def test_one_class_found_perfectly(back_end: Any, options: dict[str, float]) -> None:
    scores = np.where(np.arange(10) < 5, 0.9, 0.1)[:, None]
    truth = {"x": [(0.0, 0.5, "a\\b")]}
    result = psds1({"x": scores}, truth, {"x": 1.0}, classes=["a\\b"], frame_hop_s=0.1, back_end=back_end, **options)
    assert (result.psds, result.macro, result.per_class) == (1.0, 1.0, {"a\\b": 1.0})


@pytest.mark.parametrize("back_end", ["exact", "sed_scores_eval", "psds_eval"])
def test_cross_triggers_cost_something(back_end: Any) -> None:
    result = confused().by_psds1(back_end=back_end, cttc=0.3, alpha_ct=0.5)
    assert result.psds == pytest.approx(
        0.9775 - 0.25 * 0.5 * 3600 / 8 / 1000
    )  # a cross-trigger in 8 s of b, at half its rate
    assert (result.variant["cttc"], result.variant["alpha_ct"]) == (0.3, 0.5)


ANNOUNCED = [1.0, 1.0]
GOOD = np.zeros((10, 3))
BAD: list[tuple[Mapping[str, Any], type[Exception], str]] = [
    ({"alpha_ct": 0.5}, ConfigError, "cttc=None and alpha_ct=0.5 do not go together"),
    ({"dtc": 0.0}, ConfigError, "dtc=0.0 is not allowed: above 0, at most 1"),
    ({"alpha_st": -1.0}, ConfigError, "alpha_st=-1.0 is not allowed: 0 or more"),
    ({"max_efpr": math.inf}, ConfigError, "max_efpr=inf is not allowed: above 0, at most 1e+09"),
    ({"cttc": 0.0, "alpha_ct": 0.5}, ConfigError, "cttc=0.0 is not allowed: above 0, at most 1"),
    ({"dtc": "0.7"}, ConfigError, "dtc='0.7' is not allowed: a number"),
    ({"frame_hop_s": 0.0}, ConfigError, "frame_hop_s=0.0 is not allowed: seconds of a frame, above 0"),
    ({"classes": "abc"}, DataError, "classes='abc' is not allowed: a list of labels, such as ['dog', 'siren']"),
    ({"cttc": 0.3, "alpha_ct": 2.0, "back_end": "psds_eval"}, ConfigError, "alpha_ct=2.0 is not allowed with"),
    (
        {"back_end": "exakt"},
        ConfigError,
        "unknown back end 'exakt'; did you mean 'exact'? allowed: exact, psds_eval, sed_scores_eval",
    ),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD, ids=[row[-1] for row in BAD])
def test_parameters_that_make_no_sense(options: Mapping[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        psds1({"x": GOOD}, {"x": [(0, 1, "a")]}, {"x": 1.0}, **{"classes": CLASSES, "frame_hop_s": 0.1} | options)
    assert str(caught.value).startswith(message)


def test_streams_that_make_no_sense() -> None:
    def make(**options: Any) -> PsdsAccumulator:
        return PsdsAccumulator(**{"classes": CLASSES, "durations": ANNOUNCED, "frame_hop_s": 0.1} | options)

    accumulator = make()
    accumulator.update("x", GOOD, [(0.0, 0.5, "a")], 1.0)
    for message, call in (
        (r"^clip 'x' came before$", lambda: accumulator.update("x", GOOD, [], 1.0)),
        (
            r"^clip 'y': 2 clips last 3 s, more than the 2 s that were announced$",
            lambda: accumulator.update("y", GOOD, [], 2.0),
        ),
        (
            r"^clip 'y': a score of class 'c' is not a number \(nan in frame 0\)$",
            lambda: accumulator.update("y", np.full((10, 3), [0, 0, np.nan]), [], 1.0),
        ),
        (
            r"^accumulators of different classes or parameters cannot be merged$",
            lambda: accumulator.merge(make(classes=("b", "a", "c"))),
        ),
        (
            r"^accumulators of different classes or parameters cannot be merged$",
            lambda: accumulator.merge(make(frame_hop_s=0.2)),
        ),
        (r"^clip 'x' came before$", lambda: accumulator.merge(pickle.loads(pickle.dumps(accumulator)))),
        (
            r"^class 'a' is there 2 times; every score column needs a label of its own$",
            lambda: make(classes=("a", "b", "a")),
        ),
        (r"^PSDS needs at least one clip, got none$", lambda: make(durations=[])),
        (r"^durations\[0\]: duration None is not a number of seconds$", lambda: make(durations=[None])),
        (r"^PSDS needs at least one class, got none$", lambda: make(classes=())),
        (r"^PSDS needs at least one event in the ground truth, found none$", lambda: make().compute()),
    ):
        with pytest.raises(DataError, match=message):
            call()
    assert accumulator.compute().num_clips == 1  # nothing of the refused clips was taken in
