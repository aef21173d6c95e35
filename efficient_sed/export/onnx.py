"""A model as an ONNX file: spectrogram or waveform to scores, any batch and any length that the model takes at once, compared with PyTorch before it is kept.

By PyTorch's exporter that follows one pass (`dynamo=False`): the newer one unrolls a recurrent layer over the time of its example.
"""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from efficient_sed import __version__
from efficient_sed.benchmark.macs import count_macs
from efficient_sed.errors import CheckpointError, require, require_package
from efficient_sed.files.atomic import check_writable, write_atomically
from efficient_sed.inference.engines import EXPORTED_SUFFIX, open_engine
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header, InputKind
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel

OPSET = 17  # the first with LayerNormalization; read by every run time of the last years
TOLERANCE = 1e-4  # of a score
THRESHOLD = 0.5
BATCHES = (1, 3)


class OnnxExport(NamedTuple):
    """What was written."""

    path: Path
    header: Header
    num_bytes: int
    max_difference: float
    """Largest between its scores and PyTorch's."""

    def lines(self) -> list[str]:
        """For people."""
        header = self.header
        length = "length" if header.max_samples is None else f"up to {header.max_samples / header.sample_rate:g} s"
        lines = [
            f"wrote {self.path}: {header.input} to scores, any batch and {length}, opset {header.opset}, {self.num_bytes / 1e6:.1f} MB"
        ]
        lines.append(
            f"largest difference from PyTorch: {self.max_difference:.1e} in a score, at two lengths and two batches"
        )
        if header.task != "detection":
            lines.append(f"trained for {header.task}: {CLIP_SCORES} count, {FRAME_SCORES} are untrained")
        return lines


class _Scores(nn.Module):
    """The graph of the file."""

    def __init__(self, model: SedModel, has_frontend: bool) -> None:
        super().__init__()
        self.model, self.has_frontend = model, has_frontend

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frame scores (batch, classes, frames) and clip scores (batch, classes)."""
        torch._C._jit_set_onnx_log_enabled(
            False
        )  # the exporter has turned it on, and would print the whole graph where an operation is missing
        output = self.model(self.model.frontend(x) if self.has_frontend else x)
        return output.frame_logits.sigmoid(), output.clip_logits.sigmoid()


def export_onnx(
    model: SedModel, path: str | Path, model_name: str, *, input_kind: InputKind = "waveform", overwrite: bool = False
) -> OnnxExport:
    """Write the model's fused form for the CPU, with everything a detector needs in the metadata, if its scores are the model's.

    Args:
        model_name: What the metadata call it.
        input_kind: "waveform", or "mel" for the front end's output.

    Raises:
        CheckpointError: If the file is no .onnx, is there and not to be overwritten, or cannot be written, the model cannot be exported, or its
            scores differ by more than 1e-4; nothing is left then.
        ConfigError: If `input_kind` is neither of the two.
        MissingDependencyError: Without the packages onnx and onnxruntime.
    """
    path = Path(path)
    check_target(path, overwrite=overwrite)
    header, data, difference = build_onnx(model, model_name, input_kind)
    keep_file(path, data)
    return OnnxExport(path, header, len(data), difference)


def build_onnx(model: SedModel, model_name: str, input_kind: InputKind = "waveform") -> tuple[Header, bytes, float]:
    """What `export_onnx` would write, and the largest difference from PyTorch's scores; raises as it does."""
    require(input_kind in get_args(InputKind), "input", input_kind, " or ".join(get_args(InputKind)))
    model = copy.deepcopy(model).cpu().float().eval()
    header = _header(model, model_name, input_kind)
    try:
        data = with_header(_trace(model, header), header)
    except torch.onnx.errors.OnnxExporterError as error:
        raise CheckpointError(
            f"{model_name} is not exported: it has an operation that ONNX lacks ({str(error).splitlines()[0]})"
        ) from error
    try:
        difference = _largest_difference(model, header, data)
    except CheckpointError as error:
        raise CheckpointError(
            f"{model_name} is not exported: its file fails at another length or batch ({str(error).splitlines()[0]})"
        ) from error
    if not difference <= TOLERANCE:  # a difference that is no number, too
        raise CheckpointError(
            f"{model_name} is not exported: its file differs from PyTorch by {difference:.1e} in a score; at most {TOLERANCE:g} is allowed"
        )
    return header, data, difference


def keep_file(path: Path, data: bytes) -> None:
    """Write a file as a whole, or raise a CheckpointError."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error


def check_target(path: Path, *, overwrite: bool) -> None:
    """Say what would stand in the way of a file at the end: raises as `export_onnx`."""
    if path.suffix != EXPORTED_SUFFIX:
        raise CheckpointError(f"{path}: ONNX files are known by their suffix; name it {path.stem}.onnx")
    if path.exists() and not overwrite:
        raise CheckpointError(f"{path}: is there already; give another name, or --force to overwrite it")
    try:
        check_writable(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
    for package in ("onnx", "onnxruntime"):
        require_package("ONNX export", package, "onnx")


def _header(model: SedModel, model_name: str, input_kind: InputKind) -> Header:
    grid, provenance, most = model.grid, model.provenance, model.backbone.max_frames
    macs = count_macs(model, provenance.clip_seconds)
    return Header(
        model_name, tuple(model.classes), input_kind, grid.sample_rate, grid.hop_length, grid.stride, grid.first_frame_samples,
        max(model.frontend.min_samples, grid.first_frame_samples), model.frontend.mel_bins,
        provenance.clip_seconds, provenance.median_frames, THRESHOLD, provenance.task, OPSET, __version__,
        max_samples=None if most is None else most * grid.hop_length,
        params=sum(parameter.numel() for parameter in model.parameters()), macs=macs.total, macs_frontend=macs.by_part["frontend"],
        **{key: provenance.notes[key] for key in ("signature", "trained_on", "fold") if provenance.notes.get(key) is not None},
    )  # fmt: skip


def _trace(model: SedModel, header: Header) -> bytes:
    scores = _Scores(fuse(model), header.input == "waveform")
    time = "samples" if header.input == "waveform" else "mel_frames"
    axes = {
        header.input: {0: "batch", 1 if header.input == "waveform" else 3: time},
        FRAME_SCORES: {0: "batch", 2: "frames"},
        CLIP_SCORES: {0: "batch"},
    }
    short, long = _lengths(header)
    example = _example(model, header, 2, (short + long) // 2)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.filterwarnings(
            "ignore", category=TracerWarning
        )  # about checks of shapes in Python; what they could harm is compared
        warnings.filterwarnings(
            "ignore", message="You are using the legacy TorchScript-based ONNX export", category=DeprecationWarning
        )
        warnings.filterwarnings(
            "ignore", message="The feature will be removed", category=DeprecationWarning
        )  # of a function that the exporter calls
        warnings.filterwarnings(
            "ignore", message="Constant folding", category=UserWarning
        )  # of the few operations that it leaves to the run time
        warnings.filterwarnings(
            "ignore", message="Exporting a model to ONNX with a batch_size other than 1", category=UserWarning
        )
        torch.onnx.export(
            scores,
            (example,),
            file,  # type: ignore[arg-type]  # its hint forgets open files
            dynamo=False,
            opset_version=header.opset,
            input_names=[header.input],
            output_names=[FRAME_SCORES, CLIP_SCORES],
            dynamic_axes=axes,
        )
    return file.getvalue()


def with_header(data: bytes, header: Header) -> bytes:
    """An ONNX file's content with a header in place of any other."""
    import onnx

    graph = onnx.load_from_string(data)
    onnx.checker.check_model(graph)
    graph.producer_name, graph.producer_version = "efficient_sed", __version__
    onnx.helper.set_model_props(graph, header.to_metadata())
    return bytes(graph.SerializeToString())


def _lengths(header: Header) -> tuple[int, int]:
    """Samples of two waveforms, the second as long as a clip: both give two output frames at least, and neither is a round number of them."""
    least = max(header.min_samples, header.first_frame_samples + (header.stride + 1) * header.hop_length)
    clip = max(round(header.clip_seconds * header.sample_rate), 3 * least)
    return max(least, clip * 37 // 100), clip


def _example(model: SedModel, header: Header, batch: int, num_samples: int) -> Tensor:
    """Input from noise that swells up out of digital silence."""
    noise = torch.randn(batch, num_samples, generator=torch.Generator().manual_seed(num_samples))
    waveform = noise * torch.linspace(-0.05, 0.3, num_samples).relu()
    with torch.no_grad():
        return waveform if header.input == "waveform" else model.frontend(waveform)


def _largest_difference(model: SedModel, header: Header, data: bytes) -> float:
    """Between the file's scores and those of the model, of frames and of clips."""
    engine = open_engine(data)
    expected = _Scores(model, header.input == "waveform")
    differences = []
    for num_samples in _lengths(header):
        for batch in BATCHES:
            x = _example(model, header, batch, num_samples)
            with torch.no_grad():
                wanted = expected(x)
            given = engine.run([FRAME_SCORES, CLIP_SCORES], {header.input: x.numpy()})
            for ours, theirs in zip(wanted, given, strict=True):
                differences.append(np.abs(ours.numpy() - theirs).max() if theirs.shape == ours.shape else np.inf)
    return float(np.max(differences))  # nan if any is
