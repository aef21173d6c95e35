"""The result tables of papers and challenges, as shipped in `benchmarks/published`.

EfficientSED's MACs are counted anew: Morocutti et al. 2025 took DeepSpeed's profiler, which adds none for nn.GRU and at
that time took a TCN's convolutions twice. `benchmarks/results/efficientsed_macs.csv` holds both counts; `macs` is ours,
`macs_published` the paper's.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from efficient_sed.errors import DataError
from efficient_sed.files.packaged import resource_folder
from efficient_sed.metrics.contracts import Score
from efficient_sed.models.weights.cards import list_cards

PUBLISHED_SCORES = (
    Score("f1_micro", "F1 micro", "F1, micro", most=1.0),
    Score("loss", "loss", "loss", is_higher_better=False),
)
"""Scores that no metric of ours computes."""
CORRECTIONS = "efficientsed_macs.csv"
AUDIOSET_STRONG = "AudioSet Strong"
Row = Mapping[str, str]


@dataclass(frozen=True)
class PublishedModel:
    """A row of a paper's table."""

    table: str
    """Stem of the file it is from."""
    model: str
    backbone: str
    family: str
    """Sequence head, "none" without one; in tables of other papers the kind of network."""
    data: str
    label: str = ""
    """The model, or what distinguishes rows of one model."""
    scores: Mapping[str, float] = field(default_factory=dict)
    spreads: Mapping[str, float] = field(default_factory=dict)
    """Standard deviation over seeds, where the paper gives it."""
    complexity: Mapping[str, float] = field(default_factory=dict)
    """By keys of `COMPLEXITY_METRICS`."""
    speed: str = ""
    """What throughput and training time were measured on."""
    score_source: str = "table"
    """"table", or "figure" for a value read off a plot."""
    note: str = ""
    has_extra_training_data: bool = False
    """Whether it was trained on more than the others of its table: it is on no front with them."""


class Paper(NamedTuple):
    """Where a table comes from, and how a row of it is read."""

    title: str
    address: str
    read: Callable[[Row], PublishedModel]


def read_published_models(stem: str | None = None) -> Iterator[PublishedModel]:
    """Rows of one paper's table, or of all, in the order of the files."""
    for name, paper in PAPERS.items():
        if stem in {None, name}:
            yield from map(paper.read, _rows(resource_folder("published") / f"{name}.csv"))


def read_corrections() -> dict[str, Row]:
    """Our count of every published model's MACs, by model."""
    return {row["model"]: row for row in _rows(resource_folder("results") / CORRECTIONS)}


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); it is shipped with the package: install it again"
        ) from error


def _numbers(row: Row, factors: Mapping[str, tuple[str, float]]) -> dict[str, float]:
    """Columns that are filled, as {name: value · factor}; rounded to what decimal fractions mean."""
    return {
        name: float(f"{float(row[column]) * factor:.12g}") for name, (column, factor) in factors.items() if row[column]
    }


def _read_efficientsed(row: Row) -> PublishedModel:
    model = f"{row['backbone']}+{row['head']}-{row['hidden']}" if row["hidden"] else row["backbone"]
    columns = {
        "params": ("params", 1.0),
        "macs_published": ("macs_g_published", 1e9),
        "throughput_clips_s": ("throughput_rtx3090_clips_s", 1.0),
    }
    corrected = read_corrections()[model]
    ours = {
        key: float(corrected[key])
        for key in ("macs", "macs_backbone", "macs_sequence", "macs_classifier", "macs_deepspeed")
        if corrected.get(key)
    }
    return PublishedModel(
        "efficientsed_audioset_strong", model, row["backbone"], row["head"], AUDIOSET_STRONG,
        row["checkpoint"] or model, _numbers(row, {"psds1_macro": ("psds1", 0.01)}), {},
        _numbers(row, columns) | ours, "RTX 3090, fp16", row["psds1_source"], corrected.get("note") or "",
        row["checkpoint"] not in {"", f"{model}_strong"},
    )  # fmt: skip


def _read_dnd(row: Row) -> PublishedModel:
    shape = f"-k{row['kernel']}-d{row['dilation_time']}" if row["kernel"] else ""
    scores = _numbers(row, {"frame_f1": ("f1", 1.0), "frame_error_rate": ("error_rate", 1.0)})
    costs = _numbers(row, {"params": ("params_exact", 1.0), "epoch_s": ("epoch_time_s_v100", 1.0)})
    note = "mean of ten repetitions; the paper puts standard deviations between 0 and 0.02"
    return PublishedModel(
        "dnd_sed_table1", f"dnd-{row['model']}{shape}", "dnd-sed", f"dnd-sed {row['model']}",
        "TUT-SED Synthetic 2016", "", scores, {}, costs, "V100", note=note,
    )  # fmt: skip


def _read_dcls(row: Row) -> PublishedModel:
    kernel = f" {row['kernel']}²/{row['count']}" if row["kernel"] else ""
    costs = _numbers(row, {"params": ("params_m", 1e6), "throughput_clips_s": ("throughput_v100_clips_s", 1.0)})
    spreads = _numbers(row, {"map": ("map_std", 0.01)})
    note = "standard deviation over three seeds" if spreads else "quoted from another paper"
    model, family = f"{row['model']} {row['method']}{kernel}", f"DCLS-Audio {row['method']}"
    scores = _numbers(row, {"map": ("map", 0.01)})
    return PublishedModel(
        "dcls_audioset", model, row["model"], family, "AudioSet tagging", "", scores, spreads, costs, "V100 32 GB",
        note=note,
    )  # fmt: skip


def _read_erann(row: Row) -> PublishedModel:
    costs = _numbers(row, {"params": ("params", 1.0), "macs_published": ("multi_adds_g", 1e9)})
    scores = _numbers(row, {"map": ("map", 1.0), "mauc": ("auc", 1.0), "dprime": ("dprime", 1.0)})
    note = "multi-adds by torchsummaryX: convolutions and linear layers, without the front end"
    name = row["model"]
    return PublishedModel(
        "erann_audioset", name.lower(), "erann", "ERANN", "AudioSet tagging", name, scores, {}, costs, note=note
    )


def _read_erann_transfer(row: Row) -> PublishedModel:
    data = {"esc50": "ESC-50", "ravdess": "RAVDESS"}[row["dataset"]]
    return PublishedModel(
        "erann_transfer", row["model"].lower(), "erann", f"ERANN {row['mode']}", data, f"{row['model']} {row['mode']}",
        _numbers(row, {"accuracy": ("accuracy", 1.0)}),
    )  # fmt: skip


def _read_prinzivalle(row: Row) -> PublishedModel:
    data = {"tut_sed_synthetic": "TUT-SED Synthetic 2016, as split by Prinzivalle", "urbansound8k": "UrbanSound8K"}[
        row["task"]
    ]
    scores = _numbers(row, {key: (key, 1.0) for key in ("accuracy", "f1_micro", "loss")})
    costs = _numbers(row, {"params": ("params_m", 1e6), "training_h": ("training_time_h", 1.0)})
    return PublishedModel(
        "prinzivalle_2021", row["model"], "crnn", f"Prinzivalle {row['model']}", data, "", scores, {}, costs,
        "a GPU that is not named",
    )  # fmt: skip


def _read_dcase(row: Row) -> PublishedModel:
    columns = {
        "psds1": ("psds1", 1.0), "psds2": ("psds2", 1.0), "intersection_f1_macro": ("intersection_f1_percent", 0.01),
        "event_f1_macro": ("collar_f1_percent", 0.01), "segment_pauroc": ("segment_pauroc", 1.0),
    }  # fmt: skip
    deviations = {key: (f"{column.removesuffix('_percent')}_std", factor) for key, (column, factor) in columns.items()}
    costs = {
        "params": ("params_counted", 1.0), "macs_published": ("macs_m_thop", 1e6),
        "training_kwh": ("training_kwh", 1.0),
    }  # fmt: skip
    note = "mean and standard deviation over trainings; F1 at a threshold of 0.5; MACs by THOP, energy by CodeCarbon"
    if row["segment_pauroc"]:
        note += "; pAUROC on MAESTRO Real"
    return PublishedModel(
        "dcase_task4", row["model"], "crnn", "DCASE baseline", "DESED, development test", row["label"],
        _numbers(row, columns), _numbers(row, deviations), _numbers(row, costs), "A100", note=note,
        has_extra_training_data=row["label"] != "DCASE 2023 CRNN",
    )  # fmt: skip


def _read_pretrained_sed(row: Row) -> PublishedModel:
    card = list_cards()[row["checkpoint"]]
    return PublishedModel(
        "pretrained_sed", card.architecture, card.architecture, "PretrainedSED", AUDIOSET_STRONG, card.name,
        _numbers(row, {"psds1_macro": ("psds1_percent", 0.01)}), {},
        {"params": float(card.params), "macs": float(card.macs)},
        note="parameters and MACs by our count",
    )  # fmt: skip


def _read_tagging(row: Row) -> PublishedModel:
    costs = _numbers(row, {"params": ("params_m", 1e6), "macs_published": ("macs_g", 1e9)})
    note = "; ".join(filter(None, (f"from {row['source']}", row["counted"] and f"MACs: {row['counted']}", row["note"])))
    return PublishedModel(
        "audioset_tagging", row["model"], row["model"], row["family"], "AudioSet tagging", row["label"],
        _numbers(row, {"map": ("map_percent", 0.01)}), {}, costs, note=note,
    )  # fmt: skip


def _read_scenes(row: Row) -> PublishedModel:
    costs = _numbers(row, {"params": ("params", 1.0), "macs_published": ("macs_m", 1e6)})
    note = f"from {row['source']}; MACs of a clip of 1 s by NeSsi; trained on {row['training_share_percent']} %"
    return PublishedModel(
        "dcase_task1", row["model"], row["model"], "DCASE Task 1", f"TAU scenes, evaluation {row['year']}",
        row["label"], _numbers(row, {"accuracy": ("accuracy_percent", 0.01)}), {}, costs, note=note,
    )  # fmt: skip


PAPERS: Mapping[str, Paper] = {
    "efficientsed_audioset_strong": Paper(
        "EfficientSED, Morocutti et al. 2025", "https://arxiv.org/abs/2503.11373", _read_efficientsed
    ),
    "dnd_sed_table1": Paper("dnd-sed, Drossos et al. 2020", "https://arxiv.org/abs/2002.00476", _read_dnd),
    "dcls_audioset": Paper(
        "DCLS-Audio, Khalfaoui-Hassani et al. 2023", "https://inria.hal.science/hal-04314269", _read_dcls
    ),
    "erann_audioset": Paper(
        "ERANN, Verbitskiy and Vyshegorodtsev 2021", "https://arxiv.org/abs/2106.01621", _read_erann
    ),
    "erann_transfer": Paper(
        "ERANN, Verbitskiy and Vyshegorodtsev 2021", "https://arxiv.org/abs/2106.01621", _read_erann_transfer
    ),
    "dcase_task4": Paper("Baselines of DCASE Task 4", "https://github.com/DCASE-REPO/DESED_task", _read_dcase),
    "prinzivalle_2021": Paper("Prinzivalle 2021, project report", "", _read_prinzivalle),
    "pretrained_sed": Paper(
        "PretrainedSED, Schmid et al. 2025", "https://arxiv.org/abs/2409.09546", _read_pretrained_sed
    ),
    "audioset_tagging": Paper("Taggers of AudioSet, as their authors release them", "", _read_tagging),
    "dcase_task1": Paper("Baselines and best systems of DCASE Task 1", "https://dcase.community", _read_scenes),
}
