"""The published tables, as read."""

from __future__ import annotations

import csv

import pytest

from efficient_sed.files.packaged import resource_folder
from efficient_sed.frontier.axes import COMPLEXITY_METRICS
from efficient_sed.frontier.published import PAPERS, PublishedModel, read_published_models


def find(table: str, model: str) -> PublishedModel:
    (found,) = [row for row in read_published_models(table) if model in {row.model, row.label}]
    return found


def test_every_row_of_every_table_is_read() -> None:
    assert {path.stem for path in resource_folder("published").glob("*.csv")} == set(PAPERS)
    for stem in PAPERS:
        with (resource_folder("published") / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        models = list(read_published_models(stem))
        assert len(models) == len(rows) > 0
        assert len({(model.label or model.model, model.data) for model in models}) == len(rows)
        for model in models:
            assert model.table == stem
            assert model.scores
            assert model.complexity.keys() <= COMPLEXITY_METRICS.keys()


@pytest.mark.parametrize(
    ("table", "model", "scores", "costs"),
    [
        (
            "dnd_sed_table1",
            "dnd-dnd-k7-d10",
            {"frame_f1": 0.63, "frame_error_rate": 0.50},
            {"params": 577808, "epoch_s": 11.1},
        ),
        (
            "dcls_audioset",
            "convnext_tiny dcls_gauss 23²/26",
            {"map": 0.4552},
            {"params": 28.6e6, "throughput_clips_s": 509.4},
        ),
        (
            "erann_audioset",
            "erann-8x4-5",
            {"map": 0.446, "mauc": 0.976, "dprime": 2.801},
            {"params": 38198545, "macs_published": 40.93e9},
        ),
        (
            "dcase_task4",
            "DCASE 2023 CRNN",
            {"psds1": 0.359, "psds2": 0.562, "intersection_f1_macro": 0.642, "event_f1_macro": 0.407},
            {"params": 1112420, "macs_published": 930.902e6, "training_kwh": 1.39},
        ),
        ("dcase_task4", "DCASE 2024 CRNN with BEATs", {"psds1": 0.49, "segment_pauroc": 0.73}, {"training_kwh": 1.666}),
        ("erann_transfer", "ERANN-4x4-5 finetuned", {"accuracy": 0.961}, {}),
        (
            "prinzivalle_2021",
            "dilated",
            {"accuracy": 0.966, "loss": 0.115, "f1_micro": 0.7299},
            {"params": 3.7e6, "training_h": 7.5},
        ),
    ],
)
def test_numbers_are_those_of_the_file(
    table: str, model: str, scores: dict[str, float], costs: dict[str, float]
) -> None:
    row = find(table, model)
    assert (row.scores, row.complexity) == (scores, costs)


def test_deviations_and_readings_off_a_figure_are_marked() -> None:
    assert find("dcls_audioset", "fastvit_sa24 dcls_gauss 23²/26").spreads == {"map": 0.0007}
    assert find("dcase_task4", "DCASE 2023 CRNN").spreads == {
        "psds1": 0.006, "psds2": 0.012, "intersection_f1_macro": 0.008, "event_f1_macro": 0.006,
    }  # fmt: skip
    assert find("efficientsed_audioset_strong", "fmn10+attn-128").score_source == "figure"
