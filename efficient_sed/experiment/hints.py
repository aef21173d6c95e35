"""What was probably meant by a key or value that is not allowed."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence

from efficient_sed.config.parse import GROUPS
from efficient_sed.config.run import RunConfig
from efficient_sed.errors import nearest
from efficient_sed.experiment.keys import all_keys, key_of, option_groups


def meant(key: str, ending: str = "", cutoff: float = 0.8) -> str:
    """A hint such as `did you mean train.epochs?` for a key of another group, or one without its group.

    Args:
        key: As it was typed.
        ending: What follows the key in the hint, such as "=5".
        cutoff: How alike the last word of a key must be, 0 to 1.

    Returns:
        The hint; empty if no key is alike, or the typed one is right.
    """
    last = key.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for known in all_keys():
        by_last.setdefault(known.rpartition(".")[2], []).append(known)
    meant = [
        known
        for close in difflib.get_close_matches(last, by_last, n=1, cutoff=cutoff)
        for known in sorted(by_last[close])
    ]
    return "" if key in meant or not meant else f"did you mean {' or '.join(f'{known}{ending}' for known in meant)}?"


def explain(error: Exception) -> str:
    """The first telling line of one of Hydra's errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    missing = re.search(r"Could not override '([^']+)'", str(error))
    if missing:
        return f"unknown key {missing[1]}; {meant(missing[1], cutoff=1.0) or keys_near(missing[1])}"
    return lines[0] if lines else type(error).__name__


def keys_near(key: str) -> str:
    """What could have been meant by an unknown dotted key."""
    group, _, rest = key.partition(".")
    fields = option_groups().get(group)
    parent, _, last = key.rpartition(".")
    siblings = [name for above, _, name in (known.rpartition(".") for known in all_keys()) if above == parent]
    if "." in parent and siblings:
        return nearest(last, siblings)
    if fields is not None:
        return nearest(rest, [f.name for f in dataclasses.fields(fields)])
    if group in GROUPS:
        keys = {name: {f.name for f in dataclasses.fields(GROUPS[group].get(name))} for name in GROUPS[group].names()}
        owners = [f"{group}={name}" for name in keys if rest in keys[name]]
        if not owners:
            return f"no {GROUPS[group].kind} has such a key; {nearest(rest, set().union(*keys.values()))}"
        have = f"{', '.join(owners)} {'have' if len(owners) > 1 else 'has'} it"
        return f"the chosen {GROUPS[group].kind} has no such key ({have})"
    return nearest(key, [f.name for f in dataclasses.fields(RunConfig)])


def preset_hint(message: str, overrides: Sequence[str]) -> str:
    """An addition to an error about a key that was not typed: which preset it comes from."""
    typed = {key_of(override): override.split("=", 1)[1] for override in overrides}
    found = re.match(r"unknown key ([\w.]+)=", message)
    if found is None or found[1] in typed or "experiment" not in typed:
        return ""
    preset = f"experiment={typed['experiment']}"
    return f" (it stands in {preset}, which is for other data; leave the preset out, PRESET= with make)"
