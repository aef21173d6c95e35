"""Run in its own process by `deepspeed_macs`: header and seconds in, the profiler's count as the last line out."""

from __future__ import annotations

import json
import os
import sys

os.environ["DS_BUILD_OPS"] = "0"

import torch
from deepspeed.profiling.flops_profiler import get_model_profile

from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.header import spec_from_header


def main() -> None:
    header, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
    model = SedModel(spec_from_header(header, "the profiled model")).eval()
    with torch.inference_mode():
        mel = model.frontend(torch.zeros(1, round(seconds * model.frontend.sample_rate)))
        _, macs, _ = get_model_profile(model, args=[mel], print_profile=False, as_string=False, warm_up=0)
    sys.stdout.write(f"\n{int(macs)}\n")


if __name__ == "__main__":
    main()
