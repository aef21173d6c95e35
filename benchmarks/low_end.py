"""Which axis of a very small detector buys most per MAC: width, mel bins, hop or head, over several seeds.

python benchmarks/low_end.py [--seeds 0,1,2] [--output DIR] [--figure FILE] [key=value …]

From one reference model, that of the preset `tiny`, one axis at a time is doubled. Every model is trained from random
weights for 1,600 steps on the same 400 synthetic scenes of 5 s, whose events lie 10 to 30 dB over the background. The
runs are those of `efficient-sed train`, whose commands are printed. Finished runs are skipped, so that seeds can run in
separate processes and a last call prints the table and draws the figure.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from gains import spread

from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.run import run_experiment
from efficient_sed.frontier.axes import COMPLEXITY_METRICS
from efficient_sed.frontier.figure import INK, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE = {"backbone": "fmn01", "backbone.mel_bins": "64", "backbone.hop_ms": "20", "seq": "gru", "seq.hidden": "16"}
AXES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "width": {"fmn02": {"backbone": "fmn02"}},
    "mel bins": {"128 mel": {"backbone.mel_bins": "128"}},
    "hop": {"10 ms": {"backbone.hop_ms": "10"}},
    "head": {"gru-32": {"seq.hidden": "32"}},
}
"""What differs from the reference, by axis and name."""
DATA = ["data=synthetic", "data.scene_seconds=5", "data.clip_seconds=5", "data.num_workers=0"]
LOUD = ["data.min_snr_db=10", "data.max_snr_db=30"]  # learnt in fewer steps
PARTS = ["data.num_train=400", "data.num_validation=40", "data.num_test=120"]
RATES = ["train.lr_backbone=5e-3", "train.lr_head=5e-3", "train.layer_decay=1"]
SHORT = [
    "experiment=scratch",
    "train.epochs=32",  # 1,600 steps
    "train.batch_size=8",
    "train.validate_every=32",
    "train.select=last",
    "train.activity_balance=0.5",  # or short sounds would not be learnt in so few steps
    "train.augment.mixup_probability=0",
    "benchmark.repeats=3",
    "benchmark.modes=eager",
]
COLOURS = {"width": "#0072B2", "mel bins": "#D55E00", "hop": "#009E73", "head": "#E69F00"}
MARKERS = {"width": "o", "mel bins": "s", "hop": "^", "head": "D"}
PSDS1, TUNED = "psds1_macro", "psds1_macro_tuned"


@dataclass
class Variant:
    """One model and what its seeds achieved."""

    axis: str
    name: str
    words: list[str]
    complexity: Mapping[str, Any] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=lambda: {PSDS1: [], TUNED: []})

    @property
    def macs(self) -> float:
        """Of the network, for a clip of 10 s."""
        return float(self.complexity["macs"])

    @property
    def frontend_macs(self) -> float:
        """Of the spectrogram, which `macs` leaves out."""
        return float(self.complexity["macs_by_part"]["frontend"])

    @property
    def mean(self) -> float:
        """Tuned score over the seeds."""
        return statistics.mean(self.scores[TUNED])

    @property
    def deviation(self) -> float:
        """Of the tuned score; 0 for one seed."""
        return statistics.stdev(self.scores[TUNED]) if len(self.scores[TUNED]) > 1 else 0.0


def variants() -> list[Variant]:
    """The reference, then each axis in its order."""
    every = {"reference": {"tiny": dict[str, str]()}, **AXES}
    listed = [(axis, name, changed) for axis, names in every.items() for name, changed in names.items()]
    return [
        Variant(axis, name, [f"{key}={value}" for key, value in (REFERENCE | dict(changed)).items()])
        for axis, name, changed in listed
    ]


def train(variant: Variant, seed: str, common: list[str]) -> None:
    """Train and score one model, or read what it did before."""
    words = [*SHORT, *RATES, *variant.words, *DATA, *LOUD, *PARTS, *common, f"seed={seed}"]
    print(shlex.join(["efficient-sed", "train", *words]))
    result = run_experiment(compose_run(words), show_progress=False)
    variant.complexity = result["complexity"]
    for key, values in variant.scores.items():
        values.append(result["metrics"][key])
    found = ", ".join(f"{key} {values[-1]:.3f}" for key, values in variant.scores.items())
    print(f"{variant.name}, seed {seed}: {found}, {result['training']['seconds_per_epoch']} s an epoch", flush=True)


def table(found: list[Variant]) -> str:
    """Markdown; gains are differences to the reference of the same seed."""
    reference = found[0]
    rows = [
        "| axis | model | parameters | MMAC | front end | PSDS1, mean ± sd | tuned | gain, tuned | per 10 MMAC |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for variant in found:
        pairs = zip(variant.scores[TUNED], reference.scores[TUNED], strict=True)
        gains = [value - base for value, base in pairs]
        more = (variant.macs - reference.macs) / 1e7
        gained = f"{spread(gains)} | {statistics.mean(gains) / more:.3f}" if variant is not reference else " | "
        costs = f"{variant.complexity['params']:,} | {variant.macs / 1e6:.1f} | {variant.frontend_macs / 1e6:.1f}"
        scores = " | ".join(spread(variant.scores[key]) for key in (PSDS1, TUNED))
        rows.append(f"| {variant.axis} | {variant.name} | {costs} | {scores} | {gained} |")
    return "\n".join(rows)


def draw(found: list[Variant], output: Path) -> None:
    """Score against MACs, a line for each axis through the reference."""

    def paint(figure: Figure, renderer: Any) -> None:
        del renderer
        ax = figure.subplots()
        for axis in AXES:
            _draw_axis(ax, axis, sorted((found[0], *_of(found, axis)), key=lambda variant: variant.macs))
        reference = found[0]
        ax.plot(reference.macs, reference.mean, "o", color=INK, markersize=8, zorder=4)
        _label(ax, reference, INK)
        ax.set_xscale("log")
        ticks = [tick for tick in (5, 6, 8, 10, 12, 15, 20, 30, 50) if _is_within(tick * 1e6, found)]
        ax.set_xticks([tick * 1e6 for tick in ticks], [f"{tick} M" for tick in ticks])
        ax.minorticks_off()
        ax.margins(x=0.08, y=0.12)
        ax.set_xlabel(f"{COMPLEXITY_METRICS['macs'].label} (network, without front end)")
        ax.set_ylabel("PSDS1, macro, tuned")
        ax.legend(title="what changes", frameon=False, loc="lower left")
        figure.tight_layout()

    save_figure(paint, (7.5, 4.6), 110, output)


def _of(found: list[Variant], axis: str) -> list[Variant]:
    return [variant for variant in found if variant.axis == axis]


def _is_within(macs: float, found: list[Variant]) -> bool:
    every = [variant.macs for variant in found]
    return min(every) / 1.2 <= macs <= 1.2 * max(every)


def _draw_axis(ax: Axes, axis: str, line: list[Variant]) -> None:
    ax.errorbar(
        [variant.macs for variant in line],
        [variant.mean for variant in line],
        [variant.deviation for variant in line],
        color=COLOURS[axis],
        marker=MARKERS[axis],
        capsize=3,
        linewidth=1.5,
        label=axis,
    )
    for variant in line:
        if variant.axis == axis:
            _label(ax, variant, COLOURS[axis])


def _label(ax: Axes, variant: Variant, colour: str) -> None:
    place = (variant.macs, variant.mean + variant.deviation)
    ax.annotate(variant.name, place, (0, 5), textcoords="offset points", color=colour, fontsize=9, ha="center")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of every run")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=Path("runs_low_end"), help="folder of runs and scenes")
    parser.add_argument("--figure", type=Path, help="picture to draw (default: low_end.png in --output)")
    options = parser.parse_intermixed_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    common = [*options.overrides, f"data.root={options.output / 'datasets'}", f"output_dir={options.output / 'runs'}"]
    found = variants()
    for seed in options.seeds.split(","):
        for variant in found:
            train(variant, seed, common)
    print("\n" + table(found))
    draw(found, options.figure or options.output / "low_end.png")


if __name__ == "__main__":
    main()
