"""Multiply-accumulates of a 10 s clip: ours, by DeepSpeed's profiler (if installed), and as published.

python benchmarks/macs.py [--models fmn10+gru-256 …] [--classes 447] [--csv benchmarks/results/efficientsed_macs.csv]

Default: all models of Morocutti et al. 2025 (https://arxiv.org/abs/2503.11373); those of ERANN have 527 classes. The
reason of a difference is printed only if it explains the number: exactly for DeepSpeed, within the reading error of 1 %
for published numbers. Otherwise the row says "unexplained".
"""

from __future__ import annotations

import argparse
import csv
import io
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from efficient_sed.benchmark.macs import count_macs, deepspeed_macs
from efficient_sed.benchmark.macs_notes import PUBLISHED_CLASSES, explain_macs, published_macs
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.packaged import resource_folder
from efficient_sed.machine.environment import git_commit
from efficient_sed.models.factory import create_model
from efficient_sed.models.sed import SedModel

COLUMNS = (
    "model", "backbone", "head", "hidden", "params", "macs", "macs_backbone", "macs_sequence", "macs_classifier",
    "macs_deepspeed", "macs_published", "note",
    "deepspeed_version", "torch_version", "commit",
)  # fmt: skip


def published_models() -> list[str]:
    """Backbones alone, then fmn10 with every head, then the rest."""
    with (resource_folder("published") / "efficientsed_audioset_strong.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: (row["head"] != "none", row["backbone"] != "fmn10") if row["hidden"] else (False, False))
    return list(
        dict.fromkeys(
            f"{row['backbone']}+{row['head']}-{row['hidden']}" if row["hidden"] else row["backbone"] for row in rows
        )
    )


def build(name: str, num_classes: int = PUBLISHED_CLASSES) -> SedModel:
    """The model on whatever the memory holds: weights do not matter."""
    with torch.device("meta"):
        model = create_model(name, num_classes)
    return model.to_empty(device="cpu")


def our_columns(name: str, macs_deepspeed: int | None, num_classes: int = PUBLISHED_CLASSES) -> dict[str, Any]:
    """Everything but where the row comes from, given DeepSpeed's count."""
    model = build(name, num_classes)
    report, published = count_macs(model), published_macs(model)
    backbone, _, head = name.partition("+")
    return {
        "model": name,
        "backbone": backbone,
        "head": head.partition("-")[0] or "none",
        "hidden": head.partition("-")[2],
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "macs": report.total,
        **{f"macs_{part}": report.by_part[part] for part in ("backbone", "sequence", "classifier")},
        "macs_deepspeed": macs_deepspeed,
        "macs_published": published,
        "note": explain_macs(model, report, macs_deepspeed, published),
    }


def deepspeed_version() -> str | None:
    """Version of DeepSpeed; None if it is not installed."""
    try:
        return version("deepspeed")
    except PackageNotFoundError:
        return None


def mega(macs: int | None) -> str:
    """Millions, for the table; empty for None."""
    return "" if macs is None else f"{macs / 1e6:,.1f}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=published_models())
    parser.add_argument("--classes", type=int, default=PUBLISHED_CLASSES)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    provenance = {"deepspeed_version": deepspeed_version(), "torch_version": torch.__version__, "commit": git_commit()}
    print(
        f"torch {torch.__version__}, DeepSpeed {provenance['deepspeed_version'] or 'not installed'}, "
        f"{options.classes} classes, clips of 10 s, millions of MACs\n"
    )
    print("| model | parameters | MACs | backbone | head | classifier | DeepSpeed | published | difference to ours |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for name in options.models:
        row = our_columns(name, deepspeed_macs(build(name, options.classes)), options.classes)
        writer.writerow(row | provenance)
        counts = " | ".join(mega(row[column]) for column in COLUMNS if column.startswith("macs"))
        print(f"| {name} | {row['params']:,} | {counts} | {row['note']} |", flush=True)
    if options.csv is not None:
        write_atomically(options.csv, table.getvalue().encode())


if __name__ == "__main__":
    main()
