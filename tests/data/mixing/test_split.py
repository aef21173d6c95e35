"""Parts share no group, every class is in all of them, and the same sounds are divided the same way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.data.mixing.find import FoundSound
from efficient_sed.data.mixing.split import group_sounds, split_groups
from efficient_sed.errors import ConfigError, DataError

SHARES = {"validation": 0.2, "test": 0.2}


def sounds(sizes: list[int], takes: int = 1) -> list[FoundSound]:
    """Classes of so many recordings, each with some takes."""
    names = [
        (f"c{c}", f"c{c}/{n}_take{t}.wav") for c, size in enumerate(sizes) for n in range(size) for t in range(takes)
    ]
    return [FoundSound(Path(name), name, label, name, f"digest of {name}") for label, name in names]


@given(st.lists(st.integers(3, 30), min_size=1, max_size=6), st.integers(0, 99), st.integers(1, 3))
def test_stratified_by_group(sizes: list[int], seed: int, takes: int) -> None:
    found = group_sounds(sounds(sizes, takes), r"(.*)_take")
    part_of = split_groups("data.foreground=x", found, SHARES, seed)
    for c, size in enumerate(sizes):
        parts = Counter(part_of[sound.group] for sound in found if sound.label == f"c{c}")
        wanted = max(1, round(size * 0.2))
        assert parts == {"train": takes * (size - 2 * wanted), "validation": takes * wanted, "test": takes * wanted}
    assert len(part_of) == sum(sizes)  # takes stay together
    assert split_groups("data.foreground=x", found[::-1], SHARES, seed) == part_of


def test_a_seed_and_a_new_sound() -> None:
    found = sounds([40])
    first, other = (split_groups("x", found, SHARES, seed) for seed in (0, 1))
    assert first != other
    more = split_groups("x", sounds([41]), SHARES, 0)
    assert sum(first[group] != more[group] for group in first) <= 4


def test_copies_of_a_file_stay_together() -> None:
    found = [sound._replace(digest="same") if n in (0, 5, 9) else sound for n, sound in enumerate(sounds([10]))]
    assert len({sound.group for sound in group_sounds(found, None)}) == 8
    assert len({group_sounds(found, None)[n].group for n in (0, 5, 9)}) == 1


def test_recordings_with_several_classes() -> None:
    """A group is never divided, although each of its sounds has another class."""
    found = [FoundSound(Path(n), n, n[0], n[1], n) for n in ("a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "b5")]
    part_of = split_groups("x", found, SHARES, 0)
    for label in "ab":
        assert {part_of[sound.group] for sound in found if sound.label == label} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("found", "pattern", "message"),
    [
        (
            sounds([5, 1]),
            None,
            r"^x: class 'c1' has 1 file, and train, validation and test need at least one each; give 3",
        ),
        (sounds([5, 2]), None, r"^x: class 'c1' has 2 files, and "),
        (sounds([2], takes=4), r"(.*)_take", r"class 'c0' has 8 files in 2 groups \(data\.group_pattern, or copies"),
    ],
)
def test_too_few(found: list[FoundSound], pattern: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_groups("x", group_sounds(found, pattern), SHARES, 0)


def test_a_pattern_that_fits_nothing() -> None:
    with pytest.raises(
        ConfigError, match=r"^data\.group_pattern=\(z\) is not allowed: it matches no file, such as c0/0_"
    ):
        group_sounds(sounds([3]), "(z)")


def test_a_pattern_that_fits_some(caplog: pytest.LogCaptureFixture) -> None:
    """Files without a group stay apart, and are counted."""
    found = group_sounds(sounds([2], takes=2), r"(take0)?\.wav$")
    assert len({sound.group for sound in found}) == 3
    words = "data.group_pattern=(take0)?\\.wav$: matches no group in 2 of 4 files, such as c0/0_take1.wav"
    assert caplog.messages == [words]
    with pytest.raises(ConfigError, match="it matches no file, such as c0/0_take0"):
        group_sounds(sounds([2]), "(z)?")
