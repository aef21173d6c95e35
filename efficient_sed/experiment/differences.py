"""What runs differ in, in words: the options of runs of one model, and the data of runs on several sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from efficient_sed.experiment.repeats import NOT_COMPUTED, NOT_COMPUTED_IN


def differing_options(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each result the options that are not the same in all results of its model on its data.

    Seed, fold and what changes no result are left out, and so are options that a result does not name.
    """
    options = [dict(_computed(result["config"])) for result in results]
    models = [(result["model"], result["data"]["manifest_hash"]) for result in results]
    differing = []
    for own, model in zip(options, models, strict=True):
        kin = [other for other, others in zip(options, models, strict=True) if others == model]
        differing.append({key: value for key, value in own.items() if _differs(key, value, kin)})
    return differing


def telling_options(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each result few options that tell it from the others of its model on its data, as a label has room for.

    Of the options that differ, each time the one that tells most of them apart, until nothing more does.
    """
    differing = differing_options(results)
    telling: list[dict[str, Any]] = [{} for _ in results]
    places: dict[Any, list[int]] = {}
    for place, result in enumerate(results):
        places.setdefault((result["model"], result["data"]["manifest_hash"]), []).append(place)
    for kin in places.values():
        left = list(dict.fromkeys(key for place in kin for key in differing[place]))
        while left:
            best = max(left, key=lambda key: _num_told_apart(telling, differing, kin, key))
            if _num_told_apart(telling, differing, kin, best) == _num_told_apart(telling, differing, kin):
                break
            left.remove(best)
            for place in kin:
                telling[place] |= {key: value for key, value in differing[place].items() if key == best}
    return telling


def _num_told_apart(
    telling: Sequence[Mapping[str, Any]], differing: Sequence[Mapping[str, Any]], kin: Iterable[int], *more: str
) -> int:
    """How many labels there are with one option more."""
    return len({in_words({**telling[at], **{key: differing[at].get(key) for key in more}}) for at in kin})


def in_words(options: Mapping[str, Any]) -> str:
    """Options as they are typed, without the group where the last word says it: "epochs=6 lr_head=0.001"."""
    words = Counter(key.rpartition(".")[2] for key in options)
    named = {key: key if words[key.rpartition(".")[2]] > 1 else key.rpartition(".")[2] for key in options}
    return " ".join(f"{named[key]}={_shown(value)}" for key, value in options.items())


def data_words(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A name in words for each data set, by its manifest hash; of sets of one name, what they differ in stands behind.

    That is their options, or else where they lie, how many clips were scored, or the order in which they come.
    """
    found = {result["data"]["manifest_hash"]: result for result in results}
    words = {}
    for manifest_hash, result in found.items():
        kin = [other for other in found.values() if other["data"]["name"] == result["data"]["name"]]
        words[manifest_hash] = " ".join(filter(None, (result["data"]["name"], _data_apart(result, kin))))
    counts = Counter(words.values())
    places = {manifest_hash: 1 + [*found].index(manifest_hash) for manifest_hash in found}
    return {key: text if counts[text] == 1 else f"{text} ({places[key]})" for key, text in words.items()}


def _data_apart(result: Mapping[str, Any], kin: Sequence[Mapping[str, Any]]) -> str:
    """What tells the data of a result from others of that name; empty if nothing does."""
    if len(kin) == 1:
        return ""
    options = [_data_options(other) for other in kin]
    own = {key: value for key, value in _data_options(result).items() if _differs(key, value, options)}
    moved = {key: own.pop(key) for key in [*own] if key in NOT_COMPUTED_IN["data"]}
    place = {key: value for key, value in moved.items() if key == "root"}
    return in_words(own or place) or f"{result['metrics'].get('coverage', {}).get('clips_scored')} clips"


def _data_options(result: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_flat(result["config"].get("data", {})))


def _differs(key: str, value: Any, others: Iterable[Mapping[str, Any]]) -> bool:
    return any(other.get(key, value) != value or key not in other for other in others)


def _computed(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Flat options of a run but those that a repetition may have otherwise."""
    ignored = {f"{group}.{key}" for group, keys in NOT_COMPUTED_IN.items() for key in keys}
    return ((key, value) for key, value in _flat(config) if key not in NOT_COMPUTED and key not in ignored)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    number = isinstance(value, float) and not isinstance(value, bool)
    words = {None: "null", True: "true", False: "false"}
    return f"{value:.4g}" if number else words[value] if value is None or isinstance(value, bool) else str(value)
