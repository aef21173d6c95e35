"""Parameters, multiply-accumulates and time of a 10 s clip for all tagging models of three families, and fmn10.

python benchmarks/tagging.py [--models erann-8x4-5 convnext_tiny_dcls fmn10] [--batch 1] [--rounds 3] [--threads 1]
    [--device cpu]

Models, as built and fused, take turns in one process. Time is CPU time of the process from spectrogram to logits (on a
GPU: wall time between synchronisations), the median over rounds after a warm-up round. The classes are the 527 of
AudioSet. Multiply-accumulates are given without and with the front end.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from dcls import measure
from torch import Tensor

import efficient_sed as es
from efficient_sed.frontier.published import read_published_models
from efficient_sed.machine.environment import device_name
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import SedModel

NUM_CLASSES, SECONDS = 527, 10.0
REFERENCE = "fmn10"
VISION = (
    "convnext_tiny",
    "convnext_tiny_dcls",
    "convformer_s18",
    "convformer_s18_dcls",
    "fastvit_sa24",
    "fastvit_sa24_dcls",
)


def all_models() -> list[str]:
    """ERANN's published rows, the vision networks plain and with learned positions, and fmn."""
    erann = [row.model for row in read_published_models("erann_audioset") if row.model.startswith("erann-")]
    return [*erann, *VISION, "fmn10_dcls", REFERENCE]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=all_models())
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    names = [*(name for name in options.models if name != REFERENCE), REFERENCE]
    inputs: dict[str, tuple[SedModel, Tensor]] = {}
    rows = {}
    for name in names:
        torch.manual_seed(0)
        model = settle_norms(es.create_model(name, NUM_CLASSES)).eval()
        macs = es.count_macs(model, SECONDS)
        rows[name] = [
            sum(parameter.numel() for parameter in model.parameters()),
            macs.total,
            macs.total + macs.by_part["frontend"],
        ]
        with torch.inference_mode():
            mel = model.frontend(torch.randn(options.batch, round(SECONDS * model.frontend.sample_rate)) * 0.1).to(
                device
            )
        model = model.to(device)
        inputs |= {name: (model, mel), f"{name} fused": (es.fuse(model), mel)}
    seconds = measure(inputs, options.rounds)
    print(
        f"{device_name(device)}, torch {torch.__version__}, {options.threads} thread(s), batch "
        f"{options.batch}, clips of {SECONDS:g} s, float32\n"
    )
    print("| model | parameters | GMACs | with front end | ms a clip | fused | clips/s, fused | fmn10 is faster by |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in names:
        built, fused = (1e3 * statistics.median(seconds[form]) / options.batch for form in (name, f"{name} fused"))
        slower = statistics.median(
            a / b for a, b in zip(seconds[f"{name} fused"], seconds[f"{REFERENCE} fused"], strict=True)
        )
        params, macs_alone, macs_all = rows[name]
        print(
            f"| {name} | {params:,} | {macs_alone / 1e9:.2f} | {macs_all / 1e9:.2f} | {built:.0f} | "
            f"{fused:.0f} | {1e3 / fused:.2f} | {slower:.1f} |"
        )


if __name__ == "__main__":
    main()
