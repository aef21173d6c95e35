"""Time of learned positions (DCLS) against plain depthwise convolutions, as built and fused.

python benchmarks/dcls.py [--networks convnext_tiny convformer_s18 fastvit_sa24] [--frames 1001] [--batch 1]
    [--rounds 3] [--threads 1] [--device cpu]

The four variants of a network take turns in one process. Time is CPU time of the process (on a GPU: wall time between
synchronisations); a ratio is the median over rounds, after a warm-up round. The published column is computed from
throughputs on a V100: a slowdown of 13 % is 1.16 times the time.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Mapping

import torch
from heads import clock
from torch import Tensor

import efficient_sed as es
from efficient_sed.files.packaged import resource_folder
from efficient_sed.machine.environment import device_name
from efficient_sed.models.sed import SedModel

NUM_CLASSES = 527
FORMS = ("plain", "dcls", "plain fused", "dcls fused")


def build(network: str, device: torch.device) -> dict[str, SedModel]:
    """The network in each form."""
    torch.manual_seed(0)
    plain, dcls = (es.create_model(name, NUM_CLASSES).eval().to(device) for name in (network, f"{network}_dcls"))
    return dict(zip(FORMS, (plain, dcls, es.fuse(plain), es.fuse(dcls)), strict=True))


def measure(inputs: Mapping[str, tuple[SedModel, Tensor]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by name; models take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in inputs}
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for name, (model, mel) in inputs.items():
                start = clock(mel.device)
                model(mel)
                seconds[name].append(clock(mel.device) - start)
    return {name: values[1:] for name, values in seconds.items()}


def ratio(seconds: Mapping[str, list[float]], form: str, other: str) -> float:
    """How many times as long the one takes as the other."""
    return statistics.median(a / b for a, b in zip(seconds[form], seconds[other], strict=True))


def published_ratio(network: str) -> float:
    """The same of the published throughputs."""
    with (resource_folder("published") / "dcls_audioset.csv").open(encoding="utf-8", newline="") as file:
        clips = {
            row["method"]: float(row["throughput_v100_clips_s"])
            for row in csv.DictReader(file)
            if row["model"] == network
        }
    return clips["depthwise"] / clips["dcls_gauss"]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["convnext_tiny", "convformer_s18", "fastvit_sa24"])
    parser.add_argument("--frames", type=int, default=1001)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(
        f"{device_name(device)}, torch {torch.__version__}, {options.threads} thread(s), batch "
        f"{options.batch}, {options.frames} frames, float32\n"
    )
    print(
        "| network | plain, ms | dcls / plain | dcls / plain, fused | published | plain, fused / as built | "
        "dcls, fused / as built |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for network in options.networks:
        mel = torch.randn(options.batch, 1, 128, options.frames, device=device)
        seconds = measure({form: (model, mel) for form, model in build(network, device).items()}, options.rounds)
        pairs = (("dcls", "plain"), ("dcls fused", "plain fused"), ("plain fused", "plain"), ("dcls fused", "dcls"))
        as_built, fused, gain_plain, gain_dcls = (f"{ratio(seconds, *pair):.2f}" for pair in pairs)
        print(
            f"| {network} | {1e3 * statistics.median(seconds['plain']):.0f} | {as_built} | {fused} | "
            f"{published_ratio(network):.2f} | {gain_plain} | {gain_dcls} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
