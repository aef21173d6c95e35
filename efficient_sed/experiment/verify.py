"""Does a released model reach the score on its card, on data here?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efficient_sed.config.run import RunConfig
from efficient_sed.data.labels import audioset_labels
from efficient_sed.errors import CheckpointError, ConfigError, DataError, nearest
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.keys import key_of
from efficient_sed.files.packaged import presets
from efficient_sed.metrics.contracts import all_scores
from efficient_sed.models.weights.cards import Card, Score, get_card, list_cards
from efficient_sed.registry import DATASETS

if TYPE_CHECKING:
    from efficient_sed.data.events import Splits

MIN_SHARE = 0.9  # of the clips and classes of a published evaluation; videos vanish, so no copy has all of them
FREE_KEYS = ("train.batch_size", "train.accelerator")  # besides data.*: none of them changes a score
FIXED_KEYS = ("data.median_frames", "data.clip_seconds")  # part of how the card's score was made


class Outcome(StrEnum):
    """What a comparison came to."""

    PASS = "pass"
    FAIL = "fail"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class DataFacts:
    """What decides which scores the test part of a data set compares with."""

    classes: frozenset[str]
    """Labels of the whole data set."""
    occurring: frozenset[str]
    """Labels of events in the test part."""
    num_clips: int
    manifest_hash: str | None = None


@dataclass(frozen=True)
class Compared:
    """A score here and on the card."""

    metric: str
    expected: float
    measured: float | None
    """None if the data do not compare: then nothing is computed."""

    def line(self, tolerance: float) -> str:
        """The same for a terminal."""
        if self.measured is None:
            return f"  {self.metric}: {self.expected:.4f} on the card"
        difference = f"difference {self.measured - self.expected:+.4f}, allowed {tolerance:g}"
        return f"  {self.metric}: {self.measured:.4f} here, {self.expected:.4f} on the card: {difference}"


@dataclass(frozen=True)
class Verdict:
    """A comparison and what it rests on."""

    model: str
    outcome: Outcome
    reason: str | None
    """Why the data do not compare."""
    metric: str
    """The first of the compared scores, as the next two."""
    expected: float
    measured: float | None
    scores: tuple[Compared, ...]
    """All that were compared: of several metrics, without and with tuned post-processing."""
    tolerance: float
    clips_found: int
    clips_expected: int | None
    classes_in_common: int
    classes_expected: int | None
    evaluated_on: str
    source: str

    def lines(self) -> list[str]:
        """The same for a terminal."""
        return [
            f"{self.model}: {self.outcome}" + (f": {self.reason}" if self.reason else ""),
            *[compared.line(self.tolerance) for compared in self.scores],
            *(
                ["  nothing was computed; `efficient-sed evaluate` scores any data with the model's classes"]
                if self.measured is None
                else []
            ),
            f"  clips: {_of(self.clips_found, self.clips_expected)}; classes: "
            f"{_of(self.classes_in_common, self.classes_expected)}",
            f"  card: {self.evaluated_on}; {self.source}",
        ]


def verify_model(name: str, data: str, overrides: Sequence[str], tolerance: float) -> Verdict:
    """Score released weights on the test part of a data set and compare with their card.

    Weights that cannot be compared on these data are neither scored nor downloaded.

    Args:
        name: A released name.
        data: A registered data set, or the directory of a "folder" one.
        overrides: `data.KEY=VALUE` and `FREE_KEYS`.
        tolerance: Largest absolute difference that passes.

    Raises:
        CheckpointError: If there is no such card, or it says nothing that could be verified.
        ConfigError: If an option is not allowed.
    """
    if name not in list_cards() and (Path(name).suffix or "/" in name):
        where = f"data={data}" if data in DATASETS.names() else f"data=folder data.root={data or 'DIR'}"
        raise CheckpointError(
            f"{name}: verify compares released models with their cards; `efficient-sed evaluate {name} {where}` "
            "scores a file of yours"
        )
    if not data:
        raise ConfigError("--data is empty: give a data set such as synthetic, or a directory")
    card = get_card(name)
    if card.task == "backbone":
        raise CheckpointError(
            f"{name} is a starting point for training (backbone.init={name}) and detects nothing that could be verified"
        )
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"--tolerance {tolerance:g} is not allowed: 0 or more")
    config = replace(verification_config(data, overrides), task=card.task)
    reason, facts = why_not_made(card, config)
    if reason is None:
        splits = config.data.load()
        facts = data_facts(splits, has_hash=False)
        reason = why_other_clips(card, facts)
        if reason is None:
            facts = data_facts(splits, has_hash=any(score.manifest_hash for score in card.scores))
    score = choose_score(card, facts)
    reason = reason or why_not_comparable(card, score, facts)
    if reason is not None:
        return judge(card, score, facts, tolerance, {}, reason)
    from efficient_sed.experiment.score import score_checkpoint

    metrics = score_checkpoint(name, config, "test", set())
    measured = {
        own.name: metrics[own.key] for own in all_scores(card.task).values() if own.name in card.values_beside(score)
    }
    if lost := [metric for metric, value in measured.items() if not math.isfinite(value)]:
        number = f"{lost[0]} on these data is {measured[lost[0]]}"
        raise DataError(f"{name}: {number}; are there events in the test part?")
    facts = replace(facts, num_clips=metrics["coverage"]["clips_scored"])  # data.on_error=skip may have left some out
    return judge(card, score, facts, tolerance, measured, why_not_comparable(card, score, facts))


def judge(
    card: Card, score: Score, facts: DataFacts, tolerance: float, measured: Mapping[str, float], reason: str | None
) -> Verdict:
    """Put measured and published scores side by side.

    Args:
        card: Of the model.
        score: What it is compared with, with the card's others of the same data.
        facts: Of the data here.
        tolerance: Largest absolute difference that passes, of each.
        measured: By the names of scores; empty where nothing was computed.
        reason: Why the data do not compare, if so.
    """
    scores = tuple(Compared(name, value, measured.get(name)) for name, value in card.values_beside(score).items())
    if reason is not None or not measured:
        outcome = Outcome.NOT_COMPARABLE
    else:
        is_close = [c.measured is not None and round(abs(c.measured - c.expected), 9) <= tolerance for c in scores]
        outcome = Outcome.PASS if all(is_close) else Outcome.FAIL
    return Verdict(
        model=card.name,
        outcome=outcome,
        reason=reason,
        metric=score.metric,
        expected=score.value,
        measured=scores[0].measured,
        scores=scores,
        tolerance=tolerance,
        clips_found=facts.num_clips,
        clips_expected=score.clips_in_part,
        classes_in_common=len(facts.occurring & card_labels(card)),
        classes_expected=score.num_classes,
        evaluated_on=score.evaluated_on,
        source=score.source,
    )


def choose_score(card: Card, facts: DataFacts) -> Score:
    """The score that was made on these very data, else the card's first.

    Raises:
        CheckpointError: If the card has none.
    """
    if not card.scores:
        raise CheckpointError(f"the card of {card.name} has no score to compare with")
    return next(
        (
            score
            for score in card.scores
            if score.manifest_hash is not None and score.manifest_hash == facts.manifest_hash
        ),
        card.scores[0],
    )


def why_not_comparable(card: Card, score: Score, facts: DataFacts) -> str | None:
    """What differs between the data here and those of the score; none if the two compare."""
    if score.manifest_hash is not None:
        if facts.manifest_hash != score.manifest_hash:
            hashes = f"the data have hash {facts.manifest_hash}, the card's score belongs to {score.manifest_hash}"
            return f"{hashes}: other settings, another seed, or another FLAC encoder"
        return None if facts.num_clips == score.clips else f"{facts.num_clips} clips could be read of {score.clips}"
    if score.clips_in_part is None or score.num_classes is None:
        published = f"the published {score.metric} comes without a number of clips"
        return f"{published}, so data cannot be compared with those that it was made on"
    labels = card_labels(card)
    if unknown := sorted(facts.classes - labels):
        return (
            f"{len(unknown)} labels of the data are not among the model's {len(labels)} classes, first {unknown[0]!r}"
        )
    if not MIN_SHARE * score.clips_in_part <= facts.num_clips <= score.clips_in_part:
        clips = f"the test part has {facts.num_clips:,} clips, the published one has {score.clips_in_part:,}"
        return f"{clips}: at least {MIN_SHARE:.0%} of them are needed, and no others"
    if (shared := len(facts.occurring & labels)) < MIN_SHARE * score.num_classes:
        classes = f"{shared} classes occur in the test part, the published mean is over {score.num_classes}"
        return f"{classes}; at least {MIN_SHARE:.0%} of them are needed"
    return None


def why_other_clips(card: Card, facts: DataFacts) -> str | None:
    """Why the data are not those of the card, as far as it shows before every file is read; None if nothing does."""
    counts = sorted({score.clips for score in card.scores if score.manifest_hash and score.clips})
    if len(counts) == 0 or facts.num_clips in counts:
        return None
    scored = " or ".join(f"{count:,}" for count in counts)
    return f"the test part has {facts.num_clips:,} clips, the card's scores are of {scored}"


def why_not_made(card: Card, config: RunConfig) -> tuple[str | None, DataFacts]:
    """The same, before generated data are made: also their settings tell; and what is known of such data."""
    from efficient_sed.data.sets.synthetic import SyntheticConfig
    from efficient_sed.data.sounds import SOUND_CLASSES

    data, labels = config.data, frozenset(SOUND_CLASSES)
    if not isinstance(data, SyntheticConfig) or data.folder.is_dir():
        return None, DataFacts(frozenset(), frozenset(), 0)
    facts = DataFacts(labels, labels, data.num_test)
    if not (hashed := [score for score in card.scores if score.manifest_hash]):
        return why_not_comparable(card, choose_score(card, facts), facts), facts
    made = [compose_run([f"data={data.name}", *score.settings]).data.identity() for score in hashed]
    if any(all(data.identity()[key] == settings[key] for key in data.SCENE_KEYS) for settings in made):
        return None, facts
    own = " or ".join(dict.fromkeys(" ".join(score.settings) or "the defaults" for score in hashed))
    return why_other_clips(card, facts) or f"the data would be made with other settings than the card's: {own}", facts


def card_labels(card: Card) -> frozenset[str]:
    """Labels of a card's classifier."""
    if card.class_list == "synthetic":
        from efficient_sed.data.sounds import SOUND_CLASSES

        return frozenset(SOUND_CLASSES)
    return (
        frozenset()
        if card.class_list is None
        else frozenset(audioset_labels(card.class_list.removeprefix("audioset_")))
    )


def data_facts(splits: Splits, *, has_hash: bool) -> DataFacts:
    """Facts of a data set; the hash, which reads every file, only where a card has one too."""
    occurring = frozenset(event.label for clip in splits.test for event in clip.events)
    return DataFacts(frozenset(splits.classes), occurring, len(splits.test), splits.manifest_hash if has_hash else None)


def verification_config(data: str, overrides: Sequence[str]) -> RunConfig:
    """Configuration of an evaluation on `data`.

    Raises:
        ConfigError: If it is neither a data set nor a directory, or an override would change what is compared.
    """
    names = [*DATASETS.names(), *presets("data")]
    is_folder = data not in names and Path(data).is_dir()
    if not is_folder and data not in names:
        raise ConfigError(f"--data {data}: neither a directory nor a data set; {nearest(data, names)}")
    for override in overrides:
        if "=" not in override:
            raise ConfigError(f"{override!r} is not key=value")
        key = key_of(override)
        if key in FIXED_KEYS or (key not in FREE_KEYS and not key.startswith("data.")):
            raise ConfigError(
                f"{override}: verify scores as the card was scored; allowed: {', '.join(FREE_KEYS)} and data.KEY but "
                f"for {', '.join(FIXED_KEYS)}"
            )
        if is_folder and key == "data.root":
            raise ConfigError(f"{override}: --data {data} names the folder already; give one of the two")
    config = compose_run([f"data={'folder' if is_folder else data}", *overrides])
    root: Mapping[str, Any] = {"root": data} if is_folder else {}
    return replace(config, data=dataclasses.replace(config.data, **root))


def _of(found: int, expected: int | None) -> str:
    return f"{found:,}" + (f" of {expected:,}" if expected is not None else "")
