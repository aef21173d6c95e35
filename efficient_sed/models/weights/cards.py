"""Cards of released weights, one JSON file each in `pretrained/`, and where the weights themselves are found."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from efficient_sed.config.parse import from_dict
from efficient_sed.errors import CheckpointError, ConfigError, is_printable, require
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.cache import HOME_VARIABLE, home_folder
from efficient_sed.files.json import parse_json
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.weights.download import checksum, download

if TYPE_CHECKING:
    from efficient_sed.models.sed import Provenance

logger = logging.getLogger(__name__)
MIRROR_VARIABLE = "EFFICIENT_SED_MIRROR"
"""Address of a folder that holds released files; they are fetched from there, and checked as ever."""
DEFAULT_DETECTOR = "fmn10+tf-256_strong"
"""Of real sounds; what detects where no model is named."""
SYNTHETIC_DETECTOR = "fmn04+tf-128_synthetic"
"""Ships with the package, and hears nothing of the real world."""


@dataclass(frozen=True)
class InputContract:
    """Audio that the weights were trained on."""

    sample_rate: int
    mel_bins: int
    frames_per_s: int
    clip_seconds: int


@dataclass(frozen=True)
class Score:
    """A score with its conditions."""

    metric: Literal["PSDS1 macro", "event F1 macro", "mAP"]
    value: float
    """In [0, 1], without tuned post-processing."""
    data: Literal["audioset_strong", "audioset_weak", "synthetic"]
    evaluated_on: str
    source: str
    """Paper and table, or the run."""
    clips: int | None = None
    """Clips that were scored, None where the source does not say."""
    clips_in_part: int | None = None
    """Clips that the evaluated part has in full, None where the source does not say."""
    num_classes: int | None = None
    """Classes that the mean is taken over."""
    manifest_hash: str | None = None
    """Hash of the very data, where they can be made again."""
    settings: tuple[str, ...] = ()
    """`key=value` that make them, empty for the defaults."""
    tuned: float | None = None
    """The same with the post-processing that the file carries, None where it carries none."""

    @property
    def values(self) -> dict[str, float]:
        """What a run that compares has, by the names of its scores."""
        tuned = {} if self.tuned is None else {f"{self.metric} tuned": self.tuned}
        return {self.metric: self.value, **tuned}


@dataclass(frozen=True)
class Card:
    """What is known of released weights."""

    name: str
    architecture: str
    file: str
    task: Literal["detection", "tagging", "backbone"]
    """What the weights do; "backbone" ones are only a starting point for training, as `backbone.init=NAME`."""
    summary: str
    """What it is, what it was trained on, and by whom."""
    licence: str
    params: int
    """Parameters; of the backbone alone for the task "backbone"."""
    macs: int
    """Multiply-accumulates of a 10 s clip as `count_macs` gives them; of the backbone alone for the task "backbone"."""
    class_list: Literal["audioset_strong", "audioset_weak", "synthetic"] | None = None
    """Labels of the classifier, in logit order, None for the task "backbone"."""
    num_classes: int | None = None
    input: InputContract | None = None
    """None if the weights were trained on something else than sound."""
    release: str | None = None
    """Page of the release, None for weights shipped with the package."""
    url: str | None = None
    sha256: str | None = None
    """Checksum of the file, None while unknown: then later files are compared with the first."""
    scores: tuple[Score, ...] = ()
    """The first is the one that tables show."""
    recipe: tuple[str, ...] = ()
    """Command, seed, data hash, time and machine of a training of ours."""

    def __post_init__(self) -> None:
        texts = (self.name, self.file, self.architecture, self.summary, self.licence, self.release or "", *self.recipe)
        require(all(map(is_printable, texts)), "name", self.name, "texts on one line each")
        require(
            Path(self.file).name == self.file not in ("", ".."),
            "file",
            self.file,
            "the name of a file, without a folder",
        )
        require(
            self.url is None or self.url.startswith(("http://", "https://")),
            "url",
            self.url,
            "an address that begins with https:// or http://",
        )
        require(
            self.sha256 is None or re.fullmatch("[0-9a-f]{64}", self.sha256) is not None,
            "sha256",
            self.sha256,
            "64 hexadecimal digits",
        )
        require(self.params > 0 and self.macs > 0, "params and macs", f"{self.params} and {self.macs}", "above 0")
        require(
            all(0 <= value <= 1 for score in self.scores for value in score.values.values()),
            "scores",
            [value for score in self.scores for value in score.values.values()],
            "0 to 1",
        )

    @property
    def score(self) -> Score | None:
        """The score that tables show."""
        return self.scores[0] if self.scores else None

    def values_beside(self, score: Score) -> dict[str, float]:
        """A score's values and those of the others that were made on the very same data, by the names of scores."""
        same = [other for other in self.scores if score.manifest_hash and other.manifest_hash == score.manifest_hash]
        return {name: value for own in (score, *same) for name, value in own.values.items()}


@cache
def list_cards() -> dict[str, Card]:
    """All cards by name."""
    cards = (read_card(path) for path in sorted(resource_folder("pretrained").glob("*.json")))
    return {card.name: card for card in cards}


def read_card(path: Path) -> Card:
    """One card.

    Raises:
        CheckpointError: If it is none.
    """
    try:
        return from_dict(Card, parse_json(path.read_text(encoding="utf-8")), path.name)
    except (OSError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{path}: not a model card ({error})") from error


def get_card(name: str) -> Card:
    """The card of released weights.

    Raises:
        CheckpointError: If no card has that name; the message gives the nearest ones.
    """
    cards = list_cards()
    if name not in cards:
        raise CheckpointError(
            f"no released weights are called {name!r}; {nearest_names(name, cards)}a file of yours is given by its path"
        )
    return cards[name]


def card_of_file(path: Path) -> Card | None:
    """The card of the released weights whose file has this name, else None."""
    return next((card for card in list_cards().values() if card.file == path.name), None)


def provenance_of(card: Card, *, is_released: bool) -> Provenance:
    """Provenance of a model that has no header of its own: its task and origin.

    Args:
        card: What is known of the weights.
        is_released: Whether the file was found as the released one; else it only bears that name.
    """
    from efficient_sed.models.sed import Provenance

    clip_seconds = card.input.clip_seconds if card.input else Provenance.clip_seconds
    return Provenance(
        clip_seconds=clip_seconds,
        task=card.task,
        notes={
            "released_as" if is_released else "named_like": card.name,
            "release": card.release,
            "licence": card.licence,
        },
    )


def nearest_names(name: str, names: Iterable[str]) -> str:
    """A hint such as "the nearest: fmn10_strong, fmn10_weak; ", for lists that are too long to be printed whole."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
    return (f"the nearest: {', '.join(close)}; " if close else "") + "`efficient-sed models` lists all; "


def local_weights(card: Card) -> Path | None:
    """The card's file if it is here, unread: in the home folder, or shipped with the package."""
    return next(
        (
            path
            for folder in (home_folder(), resource_folder("pretrained") / "weights")
            if (path := folder / card.file).is_file()
        ),
        None,
    )


def find_weights(card: Card) -> Path:
    """The card's file, downloaded if it is not here: from its release, or from `EFFICIENT_SED_MIRROR`.

    Its checksum is verified as far as one is known, see `record_checksum`.

    Raises:
        CheckpointError: If it is not here and cannot be downloaded, or is not the file that the card, or the record of
            the first file, speaks of.
    """
    path = local_weights(card)
    if path is None:
        path, mirror = home_folder() / card.file, os.environ.get(MIRROR_VARIABLE)
        if card.url is None:
            raise CheckpointError(
                f"weights {card.name!r} are not here: put {card.file} into {path.parent}, "
                f"or set {HOME_VARIABLE} to the folder that holds it"
            )
        try:
            download(f"{mirror.rstrip('/')}/{card.file}" if mirror else card.url, path, card.sha256)
        except CheckpointError as error:
            source = f"; it is fetched from {MIRROR_VARIABLE}={mirror}" if mirror else ""
            raise CheckpointError(
                f"weights {card.name!r} are not here: {error}; {HOME_VARIABLE}=DIR names another folder{source}"
            ) from error
    _verify_checksum(card, path)
    return path


def _verify_checksum(card: Card, path: Path) -> None:
    record, found = _record_of(path), checksum(path)
    if card.sha256 is not None:
        if found != card.sha256:
            cure = "delete the file and type the same command again" if card.url else "install the package again"
            raise CheckpointError(f"{path}: checksum {found[:12]}… is not the card's {card.sha256[:12]}…; {cure}")
    elif record.is_file():
        words = record.read_text(encoding="utf-8", errors="replace").split()
        if not words or not re.fullmatch("[0-9a-f]{64}", words[0]):
            raise CheckpointError(f"{record}: not a checksum; delete it if you trust {path.name}")
        if found != words[0]:
            raise CheckpointError(
                f"{path}: checksum {found[:12]}… is not {words[0][:12]}… of the first file; delete {path.name}, "
                f"or {record.name} if you replaced the file"
            )


def record_checksum(card: Card, path: Path) -> None:
    """Keep the checksum of a file that proved good, where the card has none: later files are compared with it."""
    record = _record_of(path)
    if card.sha256 is not None or record.is_file():
        return
    try:
        write_atomically(record, f"{checksum(path)}  {path.name}\n".encode())
    except OSError as error:
        logger.warning(
            "%s: the checksum of %s is not recorded (%s), so that a later change will not be noticed",
            record.parent,
            path.name,
            error.strerror,
        )


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
