"""Every head in every format: a file that passes its self-test, or the reason that the documentation gives."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.write import TOLERANCE, export_model
from efficient_sed.inference.engines.contract import open_engine
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.registry import EXPORT_TARGETS, SEQUENCE_HEADS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "export.md"
TARGETS = [name for name in EXPORT_TARGETS.names() if EXPORT_TARGETS.get(name).suffix]  # a page holds an ONNX file


def documented() -> dict[str, dict[str, str]]:
    """The table of heads: by head, what each format says."""
    lines = PAGE.read_text().splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("| head |"))
    header, _, *rows = (line.strip("| ").split(" | ") for line in takewhile(bool, lines[begin:]))
    return {row[0].strip("`"): dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def small_model(head: str) -> SedModel:
    """Its BatchNorm knows noise; its logits are small, since random layers multiply rounding more than trained ones."""
    torch.manual_seed(0)
    has_size = "hidden" in {field.name for field in dataclasses.fields(SEQUENCE_HEADS.get(head))}
    model = settle_norms(es.create_model(f"fmn04+{head}-64" if has_size else "fmn04", num_classes=3)).eval()
    with torch.no_grad():
        output = model(torch.randn(1, 1, model.frontend.mel_bins, 300))
        for layer in [module for module in model.classifier.modules() if isinstance(module, torch.nn.Linear)]:
            layer.weight /= output.frame_logits.abs().max()
    model.provenance = Provenance(clip_seconds=1.0)
    return model


def test_the_table_is_whole() -> None:
    table = documented()
    assert table.keys() == set(SEQUENCE_HEADS.names())
    assert len(table) >= 12
    assert all(set(TARGETS) <= row.keys() for row in table.values())


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
@pytest.mark.parametrize(
    "target",
    [pytest.param(name, marks=pytest.mark.slow if name == "onnx" else pytest.mark.long) for name in TARGETS],
)
def test_every_head(target: str, head: str, tmp_path: Path) -> None:
    chosen = EXPORT_TARGETS.get(target)
    missing = [package for package in chosen.packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"{target} needs {', '.join(missing)}")
    model, expected = small_model(head), documented()[head][target]
    kind = "mel" if "mel" in chosen.inputs else chosen.inputs[0]
    path = tmp_path / f"model{chosen.suffix}"
    if expected != "yes":
        with pytest.raises((CheckpointError, ConfigError), match=re.escape(expected.removeprefix("no: "))):
            export_model(model, path, head, target=target, input_kind=kind)
        return
    export_model(model, path, head, target=target, input_kind=kind)
    opened = ExportedModel(path)
    assert opened.self_test_difference <= opened.self_test.tolerance
    if not chosen.is_fixed:
        check_any_length(model, path)


def check_any_length(model: SedModel, path: Path) -> None:
    session = open_engine(path)
    for steps in (1, 37, 1013):
        mel = torch.randn(2, 1, model.frontend.mel_bins, 4 * steps - 1)
        with torch.inference_mode():
            output = model(mel)
        for batch in (1, 2):
            frames, clips = session.run([FRAME_SCORES, CLIP_SCORES], {"mel": mel[:batch].numpy()})
            assert frames.shape == (batch, 3, steps)
            np.testing.assert_allclose(frames, output.frame_logits[:batch].sigmoid(), rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(clips, output.clip_logits[:batch].sigmoid(), rtol=0, atol=TOLERANCE)
