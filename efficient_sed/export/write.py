"""A model as a file for another run time, compared with PyTorch before it is kept."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import NamedTuple

from efficient_sed import __version__
from efficient_sed.audio.frontends.spectrogram import Spectrogram
from efficient_sed.benchmark.macs import count_macs
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.check import create_reference, largest_difference, run_self_test
from efficient_sed.export.contract import ExportTarget
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header, InputKind
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import EXPORT_TARGETS

TOLERANCE = 1e-4  # of a score
THRESHOLD = 0.5


class Exported(NamedTuple):
    """A file that was written."""

    path: Path
    header: Header
    num_bytes: int
    max_difference: float
    """Largest difference between its scores and PyTorch's."""
    advice: tuple[str, ...] = ()
    """How it is used, where the target says so."""

    def lines(self) -> list[str]:
        """What the command prints."""
        header = self.header
        is_any = header.fixed_samples is None and header.batch_size is None
        where = "at two lengths and two batches" if is_any else f"at {header.takes}"
        opset = f", opset {header.opset}" if header.opset else ""
        lines = [
            f"wrote {self.path}: {header.input} to scores, {header.takes}{opset}, {self.num_bytes / 1e6:.1f} MB",
            f"largest difference from PyTorch: {self.max_difference:.1e} in a score, {where}",
        ]
        if header.task != "detection":
            lines.append(f"trained for {header.task}: {CLIP_SCORES} count, {FRAME_SCORES} are untrained")
        return [*lines, *self.advice]


def export_model(
    model: SedModel,
    path: str | Path,
    model_name: str,
    *,
    target: str = "onnx",
    input_kind: InputKind | None = None,
    runtime: Path | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the model's fused form for the CPU, with all that a detector needs in the metadata.

    Args:
        model: The model; it is not changed.
        path: File to write.
        model_name: What the metadata call the model.
        target: Name in `EXPORT_TARGETS`.
        input_kind: "waveform", or "mel" for the front end's output; default None, the target's first one.
        runtime: Folder of the run time that the target puts beside its files; default None, none.
        overwrite: Replace a file that is there.

    Raises:
        CheckpointError: If the path has another ending, is there and not to be overwritten, or cannot be written, if
            the model cannot be exported, or its scores differ by more than 1e-4; nothing is written then.
        ConfigError: If there is no such target or kind of input, or the target takes no run time.
        MissingDependencyError: Without a package of the target.
    """
    path, chosen = Path(path), create_target(target, runtime)
    chosen.check_output(path, overwrite=overwrite)
    header, content, difference = build_file(model, model_name, chosen, input_kind)
    num_bytes = chosen.save(path, content, header)
    return Exported(path, header, num_bytes, difference, tuple(chosen.advice(path)))


def create_target(name: str, runtime: Path | None = None) -> ExportTarget:
    """The target of a name.

    Args:
        name: In `EXPORT_TARGETS`.
        runtime: As for `export_model`.

    Raises:
        ConfigError: If there is no such target, or it takes no run time.
    """
    target: type[ExportTarget] = EXPORT_TARGETS.get(name)
    if runtime is not None and not target.run_time:
        takers = [other for other in EXPORT_TARGETS.names() if EXPORT_TARGETS.get(other).run_time]
        raise ConfigError(f"--runtime {runtime} belongs to --format {' or '.join(takers)}, got --format {name}")
    return target(runtime)


def build_file(
    model: SedModel,
    model_name: str,
    target: ExportTarget,
    input_kind: InputKind | None = None,
    engine: str | None = None,
) -> tuple[Header, bytes, float]:
    """Build and check what `export_model` would write.

    Args:
        model: As for `export_model`, as the next ones.
        model_name: Of the metadata.
        target: The format.
        input_kind: What the file takes.
        engine: What checks it; default None, the target's first engine.

    Returns:
        The file's header and content, and the largest difference from PyTorch's scores.

    Raises:
        CheckpointError: As `export_model`.
        ConfigError: If there is no such kind of input.
    """
    input_kind = input_kind or target.inputs[0]
    target.check_input(input_kind)
    _check_steps(model, input_kind)
    model = copy.deepcopy(model).cpu().float().eval()
    header = _header(model, model_name, target, input_kind)
    content = target.write(model, header)
    try:
        difference = largest_difference(model, header, content, engine or target.engines()[0])
    except CheckpointError as error:
        reason = str(error).splitlines()[0]
        where = "another length or batch" if header.fixed_samples is None else header.takes
        raise CheckpointError(f"{model_name} is not exported: its file fails at {where} ({reason})") from error
    if not difference <= TOLERANCE:  # refuses a difference that is not a number, too
        raise CheckpointError(
            f"{model_name} is not exported: its file differs from PyTorch by {difference:.1e} in a score; "
            f"at most {TOLERANCE:g} is allowed"
        )
    header = dataclasses.replace(header, self_test=create_reference(model, header))
    content = target.with_header(content, header)
    check_self_test(header, content, target.engines()[0])
    return header, content, difference


def check_self_test(header: Header, content: bytes, engine: str) -> None:
    """Raise a CheckpointError if a file does not pass its own self-test, which goes from sound to scores."""
    tolerance = 0.0 if header.self_test is None else header.self_test.tolerance
    difference = run_self_test(content, engine)
    if not difference <= tolerance:
        raise CheckpointError(
            f"{header.model_name} is not exported: in its self-test {engine} differs from PyTorch by {difference:.1e} "
            f"of the highest score; at most {tolerance:g} is allowed"
        )


def _check_steps(model: SedModel, input_kind: InputKind) -> None:
    """Raise a ConfigError if a file would need spectrograms that only PyTorch can compute."""
    if input_kind == "mel" and not model.frontend.steps():
        name = type(model.frontend).__name__
        raise ConfigError(
            f"--input mel is not allowed: the front end {name} has no form in NumPy, see FrontEnd.steps; "
            "give --input waveform, where the format takes it"
        )


def _header(model: SedModel, model_name: str, target: ExportTarget, input_kind: InputKind) -> Header:
    grid, provenance, max_frames = model.grid, model.provenance, model.backbone.max_frames
    macs = count_macs(model, provenance.clip_seconds)
    own = model.frontend
    frontend = Spectrogram(own.steps(), own.hop_length, own.first_frame_samples).to_dict()
    notes = {key: provenance.notes.get(key) for key in ("signature", "trained_on", "extended_from", "fold")}
    return Header(
        model_name=model_name,
        classes=tuple(model.classes),
        input=input_kind,
        sample_rate=grid.sample_rate,
        hop_length=grid.hop_length,
        stride=grid.stride,
        first_frame_samples=grid.first_frame_samples,
        min_samples=max(model.frontend.min_samples, grid.first_frame_samples),
        mel_bins=model.frontend.mel_bins,
        clip_seconds=provenance.clip_seconds,
        median_frames=provenance.median_frames,
        threshold=THRESHOLD,
        task=provenance.task,
        opset=target.opset,
        efficient_sed_version=__version__,
        fixed_samples=round(provenance.clip_seconds * grid.sample_rate) if target.is_fixed else None,
        batch_size=1 if target.is_fixed else None,
        frontend=frontend if input_kind == "mel" else {},
        max_samples=None if max_frames is None else max_frames * grid.hop_length,
        params=sum(parameter.numel() for parameter in model.parameters()),
        macs=macs.total,
        macs_frontend=macs.by_part["frontend"],
        postprocessing=provenance.postprocessing,
        **{key: value for key, value in notes.items() if value is not None},
    )
