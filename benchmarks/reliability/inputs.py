"""What a kind of input is, and what must hold for all input that is accepted."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from efficient_sed.data.events import PARTS, Event, Splits


class Wrong(Exception):  # noqa: N818 (a verdict)
    """Something was accepted that cannot be right."""


@dataclass(frozen=True)
class Kind:
    """A kind of input."""

    name: str
    title: str
    share: float
    """Of all attempts, relative to other kinds."""
    prepare: Callable[[Path], object]
    """Write sound originals into an empty folder."""
    attempt: Callable[[random.Random, Path], bool]
    """Damage one of them and read it; returns whether it was accepted, raises what the package raises, or Wrong."""


def demand(condition: object, message: str) -> None:
    """Raise Wrong unless the condition holds."""
    if not condition:
        raise Wrong(message)


def check_labels(labels: Sequence[str]) -> None:
    """A label is text that can be printed on a line, and there once."""
    demand(
        all(isinstance(label, str) and label and label.isprintable() for label in labels),
        f"labels {list(labels)[:5]!r}",
    )
    demand(len(set(labels)) == len(labels), "a label twice")


def check_events(events: Sequence[Event], duration_s: float, labels: Sequence[str]) -> None:
    """Events lie inside their clip and have a class."""
    for event in events:
        demand(0 <= event.onset_s < event.offset_s <= duration_s + 1e-6, f"{event} in a clip of {duration_s} s")
        demand(0 <= event.score <= 1 and event.label in labels, f"{event}")


def check_splits(splits: Splits, root: Path) -> None:
    """Clips inside the data set's folder, each in one part, with their events inside them."""
    check_labels(splits.classes)
    files: dict[Path, str] = {}
    for part in PARTS:
        for clip in getattr(splits, part):
            demand(np.isfinite(clip.duration_s) and clip.duration_s > 0, f"duration {clip.duration_s}")
            check_events(clip.events, clip.duration_s, splits.classes)
            if (
                (path := getattr(clip.audio, "path", None)) is not None
                and getattr(clip.audio, "row", None) is None
                and not hasattr(clip.audio, "scale")
            ):
                demand(path.resolve().is_relative_to(root.resolve()), f"{path} lies outside of {root}")
                other = files.setdefault(path.resolve(), part)
                demand(other == part or {other, part} == {"validation", "test"}, f"{path} is in {other} and {part}")


def check_samples(samples: np.ndarray, num_samples: float) -> None:
    """Mono sound of finite numbers, as long as it should be."""
    demand(
        samples.ndim == 1 and samples.dtype == np.float32 and np.isfinite(samples).all(),
        f"samples {samples.dtype} {samples.shape}",
    )
    demand(abs(len(samples) - num_samples) <= 2, f"{len(samples)} samples, expected {num_samples}")
