"""Whether an exported file gives PyTorch's scores, at two lengths and two batches or the only ones that it takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from efficient_sed.inference.engines.contract import open_engine
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header
from efficient_sed.inference.self_test import SelfTest, create_self_test, create_sound
from efficient_sed.models.sed import SedModel

BATCHES = (1, 3)
FEW_FRAMES = 8
SELF_TEST_TOLERANCE = 1e-3  # of the highest score; onnxruntime and OpenVINO were within 2e-5
SHORT_SHARE = 0.37  # of a clip


class Scores(nn.Module):
    """The graph of an exported file: input to frame scores and clip scores."""

    def __init__(self, model: SedModel, has_frontend: bool) -> None:
        super().__init__()
        self.model, self.has_frontend = model, has_frontend

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score waveforms (batch, samples), or spectrograms (batch, 1, mel_bins, frames) without the front end.

        Returns:
            Frame scores (batch, classes, frames) and clip scores (batch, classes).
        """
        output = self.model(self.model.frontend(x) if self.has_frontend else x)
        return output.frame_logits.sigmoid(), output.clip_logits.sigmoid()


def example_lengths(header: Header) -> tuple[int, ...]:
    """Samples of a short waveform and of one as long as a clip; both give at least two output frames.

    Of a file that takes one length, that one.
    """
    if header.fixed_samples is not None:
        return (header.fixed_samples,)
    least = max(header.min_samples, header.first_frame_samples + (header.stride + 1) * header.hop_length)
    clip = max(round(header.clip_seconds * header.sample_rate), 3 * least)
    return max(least, int(clip * SHORT_SHARE)), clip


def example_batches(header: Header) -> tuple[int, ...]:
    """Numbers of inputs that are tried at once."""
    return BATCHES if header.batch_size is None else (header.batch_size,)


def create_example(model: SedModel, header: Header, batch: int, num_samples: int) -> Tensor:
    """An input from noise that grows out of digital silence; see `as_input`."""
    noise = torch.randn(batch, num_samples, generator=torch.Generator().manual_seed(num_samples))
    return as_input(model, header, noise * torch.linspace(-0.05, 0.3, num_samples).relu())


def as_input(model: SedModel, header: Header, waveform: Tensor) -> Tensor:
    """Waveforms (batch, samples) as a file takes them: as they are, or as spectrograms (batch, 1, mel_bins, frames)."""
    if header.input == "waveform":
        return waveform
    with torch.no_grad():
        spectrogram: Tensor = model.frontend(waveform)
        return spectrogram


def create_reference(model: SedModel, header: Header) -> SelfTest:
    """The self-test of a file in float32: a second of sound, or what gives a few frames, and PyTorch's scores."""
    few = header.first_frame_samples + (FEW_FRAMES * header.stride - 1) * header.hop_length
    samples = min(header.clip_samples, max(header.sample_rate, header.min_samples, few))
    sound = torch.from_numpy(create_sound(samples))
    silence = 0 if header.fixed_samples is None else header.fixed_samples - samples
    with torch.no_grad():
        frames, clips = Scores(model, has_frontend=True)(nn.functional.pad(sound, (0, silence)))
    kept = frames[0, :, : header.grid.num_frames(samples)].numpy(), clips[0].numpy()
    return create_self_test(*kept, samples, SELF_TEST_TOLERANCE)


def run_self_test(content: bytes, engine: str) -> float:
    """The difference of an engine in the self-test of a file's content, whatever it may be."""
    return ExportedModel(content, 1, engine, is_tested=False).self_test_difference


def largest_difference(model: SedModel, header: Header, content: bytes, engine: str) -> float:
    """The largest difference between a file's scores and those of the model.

    Args:
        model: The reference.
        header: Of the file.
        content: Of the file.
        engine: What runs it.

    Returns:
        Over frame and clip scores; infinite if shapes differ, not a number if a score is none.

    Raises:
        CheckpointError: If the engine cannot run the file.
    """
    opened = open_engine(content, engine=engine)
    reference = Scores(model, header.input == "waveform")
    differences = []
    for num_samples in example_lengths(header):
        for batch in example_batches(header):
            x = create_example(model, header, batch, num_samples)
            with torch.no_grad():
                expected = reference(x)
            found = opened.run([FRAME_SCORES, CLIP_SCORES], {header.input: x.numpy()})
            for ours, theirs in zip(expected, found, strict=True):
                differences.append(np.abs(ours.numpy() - theirs).max() if theirs.shape == ours.shape else np.inf)
    return float(np.max(differences))
