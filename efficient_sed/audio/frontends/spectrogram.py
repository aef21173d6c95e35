"""A front end in NumPy, and its plain values for a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from efficient_sed.audio.frontends.steps import Step


@dataclass(frozen=True)
class Spectrogram:
    """A front end in NumPy.

    Args:
        steps: From waveform to spectrogram.
        hop_length: Samples from one frame to the next.
        first_frame_samples: Samples that give the first frame; further ones that the steps give are cut off.
    """

    steps: Sequence[Step]
    hop_length: int
    first_frame_samples: int

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Compute spectrograms.

        Args:
            waveform: Shape (batch, samples), float32 in [-1, 1].

        Returns:
            Shape (batch, 1, mel_bins, frames), float32.
        """
        num_frames = 1 + (waveform.shape[1] - self.first_frame_samples) // self.hop_length
        return np.stack([self._clip(clip)[:num_frames].T for clip in waveform])[:, None]

    def _clip(self, x: np.ndarray) -> np.ndarray:
        for step in self.steps:
            x = step(x)
        return x.astype(np.float32, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a file carries them."""
        plain = dataclasses.asdict
        steps = [{"step": type(step).__name__, **plain(step)} for step in self.steps]  # type: ignore[call-overload]
        return {"first_frame_samples": self.first_frame_samples, "steps": steps}
