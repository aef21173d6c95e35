"""The self-test that an exported file carries: a sound, and some of the scores that PyTorch gives it in float32.

It finds engines that are wrong on one machine only. PyTorch is not needed, and numpy not for help.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efficient_sed.errors import require

if TYPE_CHECKING:
    import numpy as np

MULTIPLIER, INCREMENT = 1664525, 1013904223  # of a linear congruential generator modulo 2 ** 32
PEAK = 0.25
MAX_CLASSES, MAX_FRAMES = 16, 16
MAX_SECONDS = 60
"""Of the sound."""


@dataclass(frozen=True)
class SelfTest:
    """The metadata `self_test`; scores are little-endian float32 in base64."""

    samples: int
    """Length of the sound, see `create_sound`; a file with inputs of one length takes it with zeros behind."""
    classes: tuple[int, ...]
    """Of which classes there are scores."""
    frames: tuple[int, ...]
    """Of which output frames there are scores."""
    frame_scores: str
    """Shape (classes, frames)."""
    clip_scores: str
    """Shape (classes,)."""
    tolerance: float
    """The largest difference that an engine may have from them, as a share of the highest one."""

    def __post_init__(self) -> None:
        require(self.samples >= 1, "self_test.samples", self.samples, "1 or more")
        require(0 < self.tolerance <= 1, "self_test.tolerance", self.tolerance, "above 0, at most 1")
        require(bool((self.expected > 0).any()), "self_test.frame_scores", self.frame_scores[:16], "a score above 0")

    @property
    def expected(self) -> np.ndarray:
        """All scores, shape (classes, frames + 1), those of the clip last.

        Raises:
            ConfigError: If they are damaged, or fewer or more than classes and frames.
        """
        import numpy as np

        shape = len(self.classes), len(self.frames)
        parts = [_decode("frame_scores", self.frame_scores, shape), _decode("clip_scores", self.clip_scores, shape[:1])]
        return np.column_stack(parts)

    def check(self, num_classes: int, num_frames: int) -> None:
        """Raise a ConfigError unless it belongs to a model of so many classes and output frames of the sound."""
        for key, num in (("classes", num_classes), ("frames", num_frames)):
            numbers: tuple[int, ...] = getattr(self, key)
            is_inside = bool(numbers) and 0 <= min(numbers) <= max(numbers) < num
            require(is_inside, f"self_test.{key}", list(numbers), f"one or more of 0 to {num - 1}")

    def allowing(self, difference: float) -> SelfTest:
        """For a file in fewer bits, which one engine runs with a difference: others may round twice as far."""
        return dataclasses.replace(self, tolerance=min(1.0, self.tolerance + 2 * difference))

    def difference(self, frame_scores: np.ndarray, clip_scores: np.ndarray) -> float:
        """The largest difference from what is expected, as a share of its highest score.

        Args:
            frame_scores: What an engine gives for the sound, shape (1, classes, frames).
            clip_scores: Shape (1, classes).
        """
        import numpy as np

        classes, frames = list(self.classes), list(self.frames)
        found = np.column_stack([frame_scores[0][np.ix_(classes, frames)], clip_scores[0, classes]])
        return float(np.abs(found - self.expected).max() / self.expected.max())


def create_self_test(frame_scores: np.ndarray, clip_scores: np.ndarray, samples: int, tolerance: float) -> SelfTest:
    """Keep the highest classes at frames from all over the sound.

    Args:
        frame_scores: Of PyTorch, of the frames that begin in the sound, shape (classes, frames).
        clip_scores: Of PyTorch, shape (classes,).
        samples: Length of the sound.
        tolerance: See `SelfTest`.
    """
    import numpy as np

    classes = np.sort(np.argsort(frame_scores.max(1))[::-1][:MAX_CLASSES])
    frames = np.unique(np.linspace(0, frame_scores.shape[1] - 1, MAX_FRAMES).round().astype(int))
    kept = _encode(frame_scores[np.ix_(classes, frames)]), _encode(clip_scores[classes])
    return SelfTest(samples, tuple(classes.tolist()), tuple(frames.tolist()), *kept, tolerance)


def create_sound(samples: int) -> np.ndarray:
    """Noise that grows from silence, shape (1, samples), which every language can compute.

    Sample k of n is `((x_k >> 16) / 32768 - 1) * 0.25 * k / n` with x_0 = 1 and
    x_k = (1664525 * x_(k-1) + 1013904223) modulo 2 ** 32.
    """
    import numpy as np

    powers = np.cumprod(np.full(samples, MULTIPLIER, np.uint32), dtype=np.uint32)  # numbers without a sign wrap
    sums = np.cumsum(np.concatenate([[1], powers[:-1]]), dtype=np.uint32)
    numbers = np.concatenate([[1], (powers + np.uint32(INCREMENT) * sums)[:-1]]).astype(np.uint32)
    noise = (numbers >> 16) / 32768 - 1
    sound: np.ndarray = noise * PEAK * np.arange(samples) / samples
    return sound.astype(np.float32)[None]


def _encode(scores: np.ndarray) -> str:
    return base64.b64encode(scores.astype("<f4").tobytes()).decode()


def _decode(key: str, text: str, shape: Sequence[int]) -> np.ndarray:
    import numpy as np

    allowed = f"base64 of {' x '.join(map(str, shape))} finite numbers of float32"
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    is_whole = len(content) == 4 * np.prod(shape)
    scores = np.frombuffer(content if is_whole else b"", "<f4").astype(np.float32)
    require(is_whole and bool(np.isfinite(scores).all()), f"self_test.{key}", f"{text[:16]}…", allowed)
    return scores.reshape(shape)
