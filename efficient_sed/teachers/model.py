"""Trained models as teachers: one, or an ensemble whose logits are averaged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.pseudo_labels import select_classes
from efficient_sed.errors import ConfigError
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.models.weights.checkpoint import load_model
from efficient_sed.models.weights.released import CLIP_LAYER
from efficient_sed.registry import TEACHERS
from efficient_sed.teachers.contract import Teacher, TeacherConfig
from efficient_sed.teachers.stored import SUFFIXES


@TEACHERS.register("model")
@dataclass(frozen=True)
class ModelConfig(TeacherConfig):
    """Released models, or files of own ones, in evaluation mode."""

    names: tuple[str, ...]
    task: Literal["detection", "tagging"] = "detection"
    """What is asked of them: frame logits, which a model trained on clip labels cannot give, or clip logits."""

    def build(self, classes: Sequence[str], grid: FrameGrid) -> ModelTeacher:
        """Load the models, for a data set's classes and a student's grid."""
        return ModelTeacher([_load_member(name, self.task, classes, grid) for name in self.names])


class _Member(NamedTuple):
    model: SedModel
    columns: Tensor | None
    """Its logits in the order of the data set's classes, default None: its own order."""
    name: str


def _load_member(name: str, task: str, classes: Sequence[str], grid: FrameGrid) -> _Member:
    if name.endswith(SUFFIXES):
        raise ConfigError(
            f"teacher {name}: a file of logits, not a model; a training takes it as data.pseudo_labels={name}"
        )
    if name in (cards := list_cards()) and cards[name].task == "backbone":
        detectors = [
            card.name
            for card in cards.values()
            if card.task == "detection" and card.architecture == cards[name].architecture
        ]
        raise ConfigError(
            f"teacher {name}: weights of a backbone alone, which know no class; choose a detector, "
            f"such as {(detectors or ['beats_strong'])[0]}"
        )
    model = load_model(name).eval().requires_grad_(False)
    if model.grid != grid:
        own, wanted = (f"{each.hop_s:g} s at {each.sample_rate} Hz" for each in (model.grid, grid))
        raise ConfigError(
            f"teacher {name}: its frames last {own}, the student's {wanted}; choose a teacher on the student's grid"
        )
    if task == "detection" and model.provenance.task != "detection":
        raise ConfigError(
            f"teacher {name}: was trained on clip labels only, its frame scores are random; choose a detector, "
            "or train with task=tagging"
        )
    columns = select_classes(model.classes, classes, f"teacher {name}")
    return _Member(model, None if columns is None else torch.tensor(columns), name)


class ModelTeacher(Teacher):
    """Frozen models that together are a teacher.

    They are no module of the student's, so that their weights are in no checkpoint, optimiser or count; they move to
    the device of their input.

    Members whose front ends are alike share a spectrogram.

    Attributes:
        frontends: The front ends that differ.
    """

    def __init__(self, members: Sequence[_Member]) -> None:
        self.members = list(members)
        self.fingerprint = ",".join(_weights_hash(member.model) for member in members)
        self.frontends: list[FrontEnd] = []
        self._frontend_of: list[int] = []  # which of them each member has
        for model, _, _ in members:
            place = next(
                (place for place, frontend in enumerate(self.frontends) if is_alike(frontend, model.frontend)),
                len(self.frontends),
            )
            self._frontend_of.append(place)
            if place == len(self.frontends):
                self.frontends.append(model.frontend)

    def check_clips(self, seconds: float, key: str = "data.clip_seconds") -> None:
        """Raise a ConfigError if clips are longer than a member takes at once.

        `key` is the key of a configuration that gives their length.
        """
        for model, _, name in self.members:
            most, frontend = model.backbone.max_frames, model.frontend
            if (
                most is not None
                and not model.backbone.is_piecewise
                and seconds * frontend.sample_rate > most * frontend.hop_length
            ):
                most_s = most * frontend.hop_length / frontend.sample_rate
                raise ConfigError(
                    f"teacher {name}: takes at most {most_s:g} s at once, {key}={seconds:g}; give {key}={most_s:g}"
                )

    @torch.no_grad()
    def __call__(self, mels: Sequence[Tensor]) -> SedOutput:
        """Mean logits of the members, float32.

        For what each of `frontends` gives: spectrograms (batch, 1, mel_bins, frames).

        Raises:
            TypeError: If one of them is no tensor.
        """
        for mel in mels:
            if not isinstance(mel, Tensor):
                wanted = "a torch.Tensor of shape (batch, 1, mel_bins, frames)"
                raise TypeError(f"a spectrogram must be {wanted}, got {type(mel).__name__}")
        device = mels[0].device
        for place, member in enumerate(self.members):
            if member.columns is not None and member.columns.device != device:  # once, not at every step
                self.members[place] = member._replace(columns=member.columns.to(device))
        outputs = [
            _select(_forward(model, mels[place]), columns)
            for (model, columns, _), place in zip(self.members, self._frontend_of, strict=True)
        ]
        return SedOutput(
            torch.stack([output.frame_logits for output in outputs]).mean(0),
            torch.stack([output.clip_logits for output in outputs]).mean(0),
        )

    def frame_logits(
        self, clip_ids: Sequence[str], first_frames: Sequence[int], waveform: Tensor
    ) -> list[Tensor | None]:
        """See `contract.Teacher`."""
        for frontend in self.frontends:
            frontend.check(waveform)
        return list(self([frontend.to(waveform.device)(waveform) for frontend in self.frontends]).frame_logits.cpu())


def is_alike(one: FrontEnd, other: FrontEnd) -> bool:
    """Whether two front ends give the same."""
    theirs = dict(other.named_buffers())
    return type(one) is type(other) and all(
        torch.equal(value.cpu(), theirs[name].cpu()) for name, value in one.named_buffers()
    )


def _forward(model: SedModel, mel: Tensor) -> SedOutput:
    """Logits; those of the clip are the highest of its frames unless the model was trained on clip labels."""
    output: SedOutput = model.to(mel.device)(mel)
    frame_logits = output.frame_logits.float()
    return SedOutput(
        frame_logits, frame_logits.amax(-1) if model.provenance.task == "detection" else output.clip_logits.float()
    )


def _select(output: SedOutput, columns: Tensor | None) -> SedOutput:
    return output if columns is None else SedOutput(output.frame_logits[:, columns], output.clip_logits[:, columns])


def _weights_hash(model: SedModel) -> str:
    """Of what is asked of it: a detector's clip layer is not, and in some released files is missing."""
    digest = hashlib.sha256()
    asked = {
        key: value
        for key, value in model.state_dict().items()
        if model.provenance.task != "detection" or not key.startswith(CLIP_LAYER)
    }
    for key, value in sorted(asked.items()):
        digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
