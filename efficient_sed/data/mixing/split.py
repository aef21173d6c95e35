"""Which sounds each part has: whole groups of recordings, the same share of every class, the same ones every time."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from efficient_sed.data.events import PARTS
from efficient_sed.data.mixing.find import FoundSound
from efficient_sed.errors import ConfigError, DataError

logger = logging.getLogger(__name__)
Shares = Mapping[str, float]
"""Of the groups, by part; a part without one, or with 0, gets none. The rest is for training."""


def group_sounds(found: Sequence[FoundSound], pattern: str | None) -> list[FoundSound]:
    """Sounds with their final groups: by the first group of a pattern, and copies of one file together.

    Args:
        found: With digests.
        pattern: Regular expression on their names; default None, as they were found.

    Raises:
        ConfigError: If it matches no name.
    """
    groups = {sound.name: sound.group for sound in found}
    if pattern is not None:
        matches = {sound.name: re.search(pattern, sound.name) for sound in found}
        taken = {name: match[1] for name, match in matches.items() if match and match[1] is not None}
        others = [name for name in matches if name not in taken]
        if not taken:
            raise ConfigError(f"data.group_pattern={pattern} is not allowed: it matches no file, such as {others[0]}")
        if others:
            words = "data.group_pattern=%s: matches no group in %d of %d files, such as %s"
            logger.warning(words, pattern, len(others), len(matches), others[0])
        groups |= {name: f"pattern {group}" for name, group in taken.items()}
    joined = _Joined()
    for sound in found:
        joined.join(groups[sound.name], f"content {sound.digest}")
    return [sound._replace(group=joined.first(groups[sound.name])) for sound in found]


class _Joined:
    """Sets that are joined: a forest of parents."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def first(self, key: str) -> str:
        while (parent := self._parent.setdefault(key, key)) != key:
            key = parent
        return key

    def join(self, key: str, other: str) -> None:
        self._parent[self.first(other)] = self.first(key)


def split_groups(key: str, sounds: Sequence[FoundSound], shares: Shares, seed: int) -> dict[str, str]:
    """The part of each group, by its name.

    A group's place in the order is drawn from the seed and its own name, so that few groups change their part when
    sounds are added. Classes with few groups choose first.

    Args:
        key: Option that named the folder, for messages.
        sounds: With groups.
        shares: Of the validation and the test part.
        seed: Of the order.

    Raises:
        DataError: If a class has too few groups for every part to have one.
    """
    members: dict[str, set[str]] = defaultdict(set)
    for sound in sounds:
        members[sound.label].add(sound.group)
    needed = [part for part in PARTS if part == "train" or shares.get(part)]
    part_of: dict[str, str] = {}
    for label in sorted(members, key=lambda label: (len(members[label]), label)):
        groups = members[label]
        wanted = {part: max(1, round(len(groups) * shares[part])) for part in needed if part != "train"}
        wanted["train"] = len(groups) - sum(wanted.values())
        if wanted["train"] < 1:
            raise DataError(_too_few(key, label, sounds, len(groups), needed))
        left = Counter(wanted) - Counter(part_of[group] for group in groups if group in part_of)
        for group in sorted(groups - part_of.keys(), key=lambda group: _rank(seed, group)):
            part_of[group] = next((part for part in ("validation", "test") if left[part] > 0), "train")
            left[part_of[group]] -= 1
    for label, groups in members.items():
        if missing := [part for part in needed if part not in {part_of[group] for group in groups}]:
            which = f"{key}: the groups of class {label!r} hold other classes, too, so that none is left for"
            raise DataError(f"{which} {' and '.join(missing)}; give more recordings, or a finer data.group_pattern")
    return part_of


def _rank(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()


def _too_few(key: str, label: str, sounds: Sequence[FoundSound], num_groups: int, needed: Sequence[str]) -> str:
    files = sum(sound.label == label for sound in sounds)
    of_what = f"class {label!r}" if label else "it"
    has = f"{of_what} has {files} file{'' if files == 1 else 's'}"
    if num_groups != files:
        has += f" in {num_groups} group{'' if num_groups == 1 else 's'} (data.group_pattern, or copies of one file)"
    parts = f"{', '.join(needed[:-1])} and {needed[-1]}"
    return f"{key}: {has}, and {parts} need at least one each; give {len(needed)} or more"
