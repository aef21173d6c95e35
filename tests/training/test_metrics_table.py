"""No interruption costs the curves of what was trained before it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from efficient_sed.training.curves import CURVES_FILE, draw_curves, read_curves, trained_on
from efficient_sed.training.metrics_table import MetricsTable

FIRST, SECOND = {"train/loss": [(5, 0.5), (10, 0.25)]}, {"val/loss": [(10, 0.75)]}


def log(table: MetricsTable, step: int, **metrics: float) -> None:
    table.log_metrics({name.replace("_", "/"): value for name, value in metrics.items()}, step)
    table.save()


def test_new_columns_keep_the_rows_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    table = MetricsTable(tmp_path, name="", version="")
    log(table, 5, train_loss=0.5)
    log(table, 10, train_loss=0.25)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(OSError, match="No space left"):
            log(table, 10, val_loss=0.75)
    assert read_curves(tmp_path) == FIRST
    table.save()
    assert read_curves(tmp_path) == FIRST | SECOND


def test_a_cut_line_counts_for_nothing(tmp_path: Path) -> None:
    table = MetricsTable(tmp_path, name="", version="")
    log(table, 5, train_loss=0.5, val_loss=0.75)
    path = tmp_path / "metrics.csv"
    whole = path.read_bytes()
    log(table, 10, train_loss=0.25, val_loss=0.625)
    for end in range(len(whole), path.stat().st_size - 1):
        (tmp_path / "metrics_part1.csv").write_bytes(path.read_bytes()[:end])
        path.rename(tmp_path / "kept")
        assert read_curves(tmp_path) == {"train/loss": [(5, 0.5)], "val/loss": [(5, 0.75)]}
        (tmp_path / "kept").rename(path)


def test_parts_of_the_loss_that_did_not_count_are_not_drawn() -> None:
    def curves(**values: list[float]) -> dict[str, list[tuple[int, float]]]:
        return {f"train/{name}": list(enumerate(own)) for name, own in values.items()}

    total, other = [0.9, 0.5], [0.3, 0.2]
    rest = {"val/loss": [(0, 0.9)]}
    alone = curves(loss_epoch=total, loss_supervised_epoch=[0.9000001, 0.5], loss_distillation_epoch=other) | rest
    assert trained_on(alone) == curves(loss_epoch=total) | rest
    both = curves(loss_epoch=total, loss_supervised_epoch=other, loss_distillation_epoch=[0.0, 1.2])
    assert trained_on(both) == both
    assert trained_on(both | curves(loss_distillation_weak_epoch=[0.0, 0.0])) == both


def test_panels_without_curves_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    def draw(columns: str) -> Path | None:
        values = ",".join("1" * len(columns.split(",")))
        (tmp_path / "metrics.csv").write_text(f"epoch,step,{columns}\n0,5,{values}\n")
        return draw_curves(tmp_path)

    widths = []
    for columns in ("train/loss", "train/loss,val/psds1"):
        assert draw(columns) == tmp_path / CURVES_FILE
        widths.append(int.from_bytes((tmp_path / CURVES_FILE).read_bytes()[16:20], "big"))
    assert widths[1] == pytest.approx(2 * widths[0], abs=2)
    assert draw("other") is None
