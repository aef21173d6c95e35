"""The files of one format: in float32 as it is checked, and in fewer bits with a self-test that allows for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.export.calibration import calibration_clips
from efficient_sed.export.check import run_self_test
from efficient_sed.export.contract import ExportTarget
from efficient_sed.export.plan import Attempts, Plan
from efficient_sed.export.write import build_file
from efficient_sed.inference.header import EXACT, Header, InputKind
from efficient_sed.models.sed import SedModel


class BuiltFile(NamedTuple):
    """A model in a format and a precision."""

    target: ExportTarget
    header: Header
    content: bytes
    path: Path | None
    """Where it is to be written, if it was asked for."""


def build_files(
    plan: Plan,
    model: SedModel,
    model_name: str,
    input_kind: InputKind | None,
    splits: Splits,
    config: RunConfig,
    attempts: Attempts,
) -> Iterator[BuiltFile]:
    """The files of a format, the float32 one first; arguments as for `export_precisions`."""
    target = plan.target
    with attempts.of(target.name):
        header, exact, _ = build_file(model, model_name, target, input_kind)
        for precision in dict.fromkeys([EXACT, *plan.paths]):
            with attempts.of(f"{target.name} {precision}"):
                clips = calibration_clips(model, splits, config, header)
                own, content = header, exact
                if precision != EXACT:
                    content = target.quantise(model, exact, precision, clips, header)
                    own = _as_measured(target, content, dataclasses.replace(header, precision=precision))
                yield BuiltFile(target, own, target.with_header(content, own), plan.paths.get(precision))


def _as_measured(target: ExportTarget, content: bytes, header: Header) -> Header:
    """The header whose self-test allows an engine what fewer bits cost in the target's first one."""
    difference = run_self_test(target.with_header(content, header), target.engines()[0])
    return dataclasses.replace(header, self_test=header.self_test and header.self_test.allowing(difference))
