"""Lists of released weights and of models that can be composed, as rows and as tables.

Released weights are listed from their cards, without importing torch.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from efficient_sed.benchmark.model_groups import Row, group_key, leading_score
from efficient_sed.config.model import MAX_HIDDEN
from efficient_sed.errors import ConfigError, MissingDependencyError
from efficient_sed.machine.progress import progress
from efficient_sed.models.names import GRAMMAR, parse_name
from efficient_sed.models.systems import SYSTEMS
from efficient_sed.models.weights.cards import Card, list_cards, local_weights, nearest_names
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

logger = logging.getLogger(__name__)
SORT_KEYS = {
    "name": lambda row: row["name"],
    "params": lambda row: row["params"],
    "macs": lambda row: row["macs"],
    "score": lambda row: -leading_score(row),
}


def list_models() -> dict[str, Any]:
    """Released weights with their facts, the parts of model names, and the published systems."""
    return {
        "released": list_released(),
        "grammar": GRAMMAR,
        "backbones": BACKBONES.names(),
        "heads": SEQUENCE_HEADS.names(),
        "systems": list(SYSTEMS),
    }


def list_released(pattern: str = "*", sort: str | None = None) -> list[Row]:
    """Facts of the cards whose name matches, and where their weights are.

    "path" is None for those that would be downloaded.

    Args:
        pattern: As for file names: `fmn10*`.
        sort: Key of `SORT_KEYS` within a group of models whose scores compare; default None: parameters.
    """
    rows = [_row(card) for card in list_cards().values() if fnmatchcase(card.name, pattern)]
    own: Callable[[Mapping[str, Any]], Any] = SORT_KEYS[sort or "params"]
    return sorted(rows, key=lambda row: (group_key(row), own(row), row["name"]))


def list_composable(
    pattern: str = "*", hidden: Sequence[int] = (256,), sort: str | None = None, num_classes: int = 447
) -> list[Row]:
    """Name and cost of every backbone with every head whose name matches.

    What does not differ between models is counted once.

    Heads that do not come in one of the sizes are left out, which a warning says.

    Raises:
        ConfigError: If they are to be sorted by score, which they have not, or none that matches comes in one of the
            sizes.
    """
    if sort == "score":
        raise ConfigError(
            "--sort score: composable models have random weights and no score; allowed: name, params, macs"
        )
    endings, unfit = [], []
    for head in SEQUENCE_HEADS.names():
        entry = SEQUENCE_HEADS.get(head)
        if not any(field.name == "hidden" for field in dataclasses.fields(entry)):
            endings.append("")
            continue
        for size in hidden:
            try:
                entry(hidden=size)
                endings.append(f"+{head}-{size}")
            except ConfigError as error:
                if any(fnmatchcase(f"{backbone}+{head}-{size}", pattern) for backbone in BACKBONES.names()):
                    unfit.append(f"{head}-{size}: {error}")
    by_backbone = {
        backbone: [name for name in (f"{backbone}{ending}" for ending in endings) if fnmatchcase(name, pattern)]
        for backbone in BACKBONES.names()
    }
    rows: list[Row] = []
    heads: dict[Any, tuple[int, int]] = {}
    with progress("models", sum(map(len, by_backbone.values())), is_drawn=sys.stderr.isatty()) as counted:
        for names in by_backbone.values():
            try:
                for name, params, macs in _count_costs(names, num_classes, heads):
                    rows.append({"name": name, "params": params, "macs": macs})
                    counted(1)
            except MissingDependencyError as error:
                unfit += [f"{name}: {error}" for name in names]
    if unfit and not rows:
        raise ConfigError(unfit[0])
    for message in unfit:
        logger.warning("left out: %s", message)
    return sorted(rows, key=SORT_KEYS[sort]) if sort else rows


def parse_sizes(text: str) -> list[int]:
    """Sizes of heads from a comma list.

    Raises:
        ConfigError: If one is not a positive whole number.
    """
    words = text.split(",")
    for word in words:
        if not (word.isdecimal() and 1 <= int(word) <= MAX_HIDDEN):
            raise ConfigError(
                f"--hidden {text}: {word!r} is not a whole number from 1 to {MAX_HIDDEN}; give sizes such as 128,512"
            )
    return [int(word) for word in words]


def _count_costs(
    names: Sequence[str], num_classes: int, heads: dict[Any, tuple[int, int]]
) -> Iterator[tuple[str, int, int]]:
    """Architectures that share their backbone, each with its parameters and MACs (10 s).

    Args:
        names: Names of the architectures.
        num_classes: Number of classes.
        heads: Costs of heads that are known already, by what decides them; added to.
    """
    from efficient_sed.benchmark.known_backbone import count_backbone, count_head

    known = None
    for name in names:
        backbone, seq, _ = parse_name(name)
        known = known or count_backbone(backbone)
        has_own_classifier = seq.name == "none"  # it may have
        key = (seq, known.shape, backbone if has_own_classifier else backbone.has_clip_layer)
        if key not in heads:
            heads[key] = count_head(known, backbone, seq, num_classes)
        params, macs = heads[key]
        yield name, known.num_params + params, known.macs + macs


def check_found(pattern: str, rows: Iterable[Row], *, is_composable: bool = False) -> None:
    """Raise a ConfigError with the nearest names if nothing matches."""
    if list(rows):
        return
    if is_composable:
        parts = f"backbones: {', '.join(BACKBONES.names())}; heads: {', '.join(SEQUENCE_HEADS.names())}"
        raise ConfigError(f"no composable model matches {pattern!r}, as in 'fmn04+tf*'; {parts}")
    raise ConfigError(
        f"no model matches {pattern!r}; {nearest_names(pattern.strip('*'), list_cards())}others are composed: {GRAMMAR}"
    )


def _row(card: Card) -> Row:
    path = local_weights(card)
    values = dataclasses.asdict(card)
    scores = [{**score, "settings": list(score["settings"])} for score in values["scores"]]
    values |= {"scores": scores, "recipe": list(values["recipe"])}
    return {**values, "path": None if path is None else str(path)}
