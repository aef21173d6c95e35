"""Why another count of a model's MACs differs from ours.

Each known reason is computed, and checked against the number that it explains.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping

from torch import nn

from efficient_sed.benchmark.macs import MacsReport
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.backbones.erann import ErannClassifier
from efficient_sed.models.names import parse_name
from efficient_sed.models.sed import SedModel
from efficient_sed.models.sequence.mamba import STATE_DIM, Mamba2
from efficient_sed.models.sequence.ssd import CHUNK_CPU
from efficient_sed.models.sequence.tcn import NUM_STAGES, TcnHead

PUBLISHED_SECONDS, PUBLISHED_CLASSES, ERANN_CLASSES = 10.0, 447, 527
READING_ERROR = 0.01  # published MACs are read off plots


def published_macs(model: SedModel, seconds: float = PUBLISHED_SECONDS) -> int | None:
    """What Morocutti et al. 2025 print for this model, to about 1 %, or Verbitskiy and Vyshegorodtsev 2021.

    None for what they do not have.
    """
    tables = {PUBLISHED_CLASSES: _efficientsed, ERANN_CLASSES: _erann}
    if seconds != PUBLISHED_SECONDS or len(model.classes) not in tables:
        return None
    for name, giga in tables[len(model.classes)]():
        parsed = parse_name(name)
        if giga and (parsed.backbone, parsed.seq) == (model.spec.backbone, model.spec.seq):
            return round(float(giga) * 1e9)
    return None


def _efficientsed() -> Iterator[tuple[str, str]]:
    for row in _rows("efficientsed_audioset_strong"):
        yield (
            f"{row['backbone']}+{row['head']}-{row['hidden']}" if row["hidden"] else row["backbone"],
            row["macs_g_published"],
        )


def _erann() -> Iterator[tuple[str, str]]:
    for row in _rows("erann_audioset"):
        yield row["model"].lower(), row["multi_adds_g"]


def _rows(stem: str) -> Iterator[dict[str, str]]:
    with (resource_folder("published") / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def explain_macs(model: SedModel, report: MacsReport, macs_deepspeed: int | None, macs_published: int | None) -> str:
    """One line on each other count: the reasons if they lead to it, else "unexplained".

    They lead to DeepSpeed's count exactly, and to the published one within its reading error.
    """
    notes = []
    if macs_deepspeed is not None:
        notes.append(f"DeepSpeed {_explain(report.total, deepspeed_differences(model, report), macs_deepspeed, 0.0)}")
    if macs_published is not None:
        notes.append(
            f"published {_explain(report.total, published_differences(model, report), macs_published, READING_ERROR)}"
        )
    return "; ".join(notes)


def _explain(macs: int, differences: Mapping[str, int], other: int, tolerance: float) -> str:
    predicted = macs + sum(differences.values())
    error = other / predicted - 1
    if abs(error) > tolerance:
        return f"unexplained: {(other - macs) / 1e6:+.1f} M"
    reasons = " and ".join(f"{reason} ({difference / 1e6:+.1f} M)" for reason, difference in differences.items())
    return " and ".join(filter(None, (reasons, f"agrees to {error:+.1%}" if tolerance else ""))) or "equal"


def deepspeed_differences(model: SedModel, report: MacsReport) -> dict[str, int]:
    """What DeepSpeed's profiler adds to our count of each kind of module, where that is not zero."""
    T = _steps(model, report)
    chunk = min(CHUNK_CPU, T)
    padded = -(-T // chunk) * chunk
    differences = {"counts nn.GRU as zero": -_recurrent(model, report)}
    differences["counts Mamba's recurrence in chunks, one product of it for a single head"] = sum(
        padded * (chunk * (STATE_DIM + cell.inner) + STATE_DIM * (cell.inner + cell.head_dim)) - report.by_module[name]
        for name, cell in _cells(model)
    )
    return {reason: difference for reason, difference in differences.items() if difference}


def published_differences(model: SedModel, report: MacsReport) -> dict[str, int]:
    """What the published counts add to ours.

    EfficientSED's are by a DeepSpeed of early 2025, ERANN's by torchsummaryX, both on the authors' code.

    That code keeps each convolution of the TCN under two names (DeepSpeed counted a module once a name until its pull
    request 8320) and pads both sides, so that each computes 2 * dilation steps that are then cut off. Its Mamba calls
    kernels, which DeepSpeed cannot see. ERANN's has clip logits alone; else it is what we count: convolutions and
    linear layers of a 10 s clip, without the front end.
    """
    T = _steps(model, report)
    differences = {"counts nn.GRU as zero": -_recurrent(model, report)}
    differences["cannot see Mamba's kernels"] = -sum(
        report.by_module[name] + report.by_module[f"{name}.conv1d"] for name, _ in _cells(model)
    )
    convs = [
        (2**index, report.by_module[f"sequence.blocks.{block}.{index}.{conv}"])
        for block, index, conv in _tcn_convolutions(model)
    ]
    differences["counts convolutions twice, with steps that are cut off"] = sum(
        2 * macs * (T + 2 * dilation) // T - macs for dilation, macs in convs
    )
    if isinstance(model.classifier, ErannClassifier):
        differences["has no frame logits"] = -report.by_part["classifier"] * T // (T + 1)
    return {reason: difference for reason, difference in differences.items() if difference}


def _steps(model: SedModel, report: MacsReport) -> int:
    return model.grid.num_frames(round(report.seconds * model.frontend.sample_rate))


def _recurrent(model: SedModel, report: MacsReport) -> int:
    return sum(report.by_module.get(name, 0) for name, module in model.named_modules() if isinstance(module, nn.GRU))


def _cells(model: SedModel) -> list[tuple[str, Mamba2]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, Mamba2)]


def _tcn_convolutions(model: SedModel) -> Iterator[tuple[int, int, str]]:
    """Block, stage, whose dilation is 2 ** stage, and name."""
    if isinstance(model.sequence, TcnHead):
        yield from itertools.product(range(len(model.sequence.blocks)), range(NUM_STAGES), ("conv1", "conv2"))
