"""What runs differ in, in words: the options of runs of one model, and the data of runs on several sets."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from efficient_sed.experiment.repeats import NOT_COMPUTED_IN, computed_options, flat_options


def differing_options(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each result the options that are not the same in all results of its model on its data.

    Seed, fold and what changes no result are left out, and so are options that a result does not name.
    """
    options = [computed_options(result["config"]) for result in results]
    differing: list[dict[str, Any]] = [{} for _ in results]
    for kin in _of_one_model(results):
        for place, own in zip(kin, _differing([options[place] for place in kin]), strict=True):
            differing[place] = own
    return differing


def telling_options(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each result few options that tell it from the others of its model on its data, as a label has room for.

    Of the options that differ, each time the one that tells most of them apart, until nothing more does.
    """
    differing = differing_options(results)
    telling: list[dict[str, Any]] = [{} for _ in results]
    for kin in _of_one_model(results):
        chosen = _telling_keys([differing[place] for place in kin])
        for place in kin:
            telling[place] = {key: differing[place][key] for key in chosen if key in differing[place]}
    return telling


def _of_one_model(results: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Places of the results of each model on each data."""
    return _places([(result["model"], result["data"]["manifest_hash"]) for result in results])


def _places(names: Iterable[Hashable]) -> list[list[int]]:
    """Places of each name."""
    places: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return list(places.values())


def _differing(options: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each run the options that are not the same in all; one that is not named is null."""
    keys = {key for each in options for key in each}
    differing = {key for key in keys if len({json.dumps(each.get(key)) for each in options}) > 1}
    return [{key: value for key, value in each.items() if key in differing} for each in options]


def _telling_keys(differing: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for each in differing for key in each)
    left = {key: [_shown(each.get(key)) for each in differing] for key in keys}
    apart: list[tuple[str, ...]] = [() for _ in differing]
    chosen = []
    while left:
        longer = {key: [(*old, new) for old, new in zip(apart, left[key], strict=True)] for key in left}
        best = max(longer, key=lambda key: len(set(longer[key])))
        if len(set(longer[best])) == len(set(apart)):
            break
        apart = longer[best]
        chosen.append(best)
        del left[best]
    return chosen


def in_words(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Options of each run as they are typed, such as "epochs=6 lr_head=0.001".

    Without the group where the last word says it in all of them, and of absolute paths what tells them apart.
    """
    words = Counter(key.rpartition(".")[2] for key in {key for each in options for key in each})
    texts = [{key: _shown(value) for key, value in each.items()} for each in options]
    named: dict[str, str] = {}
    short: dict[str, dict[str, str]] = {}
    for key in {key for each in texts for key in each}:
        last = key.rpartition(".")[2]
        named[key] = key if words[last] > 1 else last
        short[key] = _short_paths({each[key] for each in texts if PurePath(each.get(key, "")).is_absolute()})
    return [" ".join(f"{named[key]}={short[key].get(text, text)}" for key, text in each.items()) for each in texts]


def _short_paths(paths: set[str]) -> dict[str, str]:
    """By absolute path its last two names, or else the names between those that all begin and end with."""
    names = {path: PurePath(path).parts for path in paths}
    begin = _num_common([*names.values()])
    end = _num_common([own[:begin:-1] for own in names.values()])
    lasts = {path: "/".join(own[-2:]) for path, own in names.items()}
    middles = {path: f"…/{'/'.join(own[begin : len(own) - end])}" for path, own in names.items()}
    return next((short for short in (lasts, middles) if len(set(short.values())) == len(paths)), {})


def _num_common(sequences: Sequence[Sequence[str]]) -> int:
    """How many of the first items all sequences have in common."""
    return sum(1 for _ in itertools.takewhile(lambda items: len(set(items)) == 1, zip(*sequences, strict=False)))


def data_words(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A name in words for each data set, by its manifest hash; of sets of one name, what they differ in stands behind.

    That is their options, or else where they lie, how many clips were scored, or the order in which they come.
    """
    found = {result["data"]["manifest_hash"]: result for result in results}
    sets = list(found.values())
    words = [str(result["data"]["name"]) for result in sets]
    for kin in _places(words):
        if len(kin) > 1:
            for place, apart in zip(kin, _data_apart([sets[place] for place in kin]), strict=True):
                words[place] = f"{words[place]} {apart}".strip()
    return dict(zip(found, numbered(words), strict=True))


def numbered(names: Sequence[str]) -> list[str]:
    """Names, with a number behind each that is there several times."""
    numbered = list(names)
    for places in _places(names):
        if len(places) > 1:
            for number, place in enumerate(places, 1):
                numbered[place] = f"{names[place]} ({number})"
    return numbered


def _data_apart(sets: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells data sets of one name apart; empty where nothing does."""
    differing = _differing([flat_options(result["config"].get("data", {})) for result in sets])
    moved = NOT_COMPUTED_IN["data"]
    options = in_words([{key: value for key, value in own.items() if key not in moved} for own in differing])
    places = in_words([{key: value for key, value in own.items() if key == "root"} for own in differing])
    clips = [result["metrics"].get("coverage", {}).get("clips_scored") for result in sets]
    counts = ["" if number is None else f"{number} clips" for number in clips]
    return [next(filter(None, words), "") for words in zip(options, places, counts, strict=True)]


def _shown(value: Any) -> str:
    """A value as it is typed."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, str) and (value == "null" or "," in value):
        return f"'{value}'"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
