"""Published systems that are one piece and have a name of their own: which parts they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KERNELS, DILATIONS = (3, 5, 7), (1, 10, 50, 100)
ERANNS = (
    *("8x4-4", "8x4-5", "8x1-6", "8x2-6", "8x4-6", "8x8-6", "4x4-6", "10x4-6"),  # AudioSet
    *("4x2-3", "4x1-4", "4x2-4", "4x4-4", "4x4-5", "4x1-6", "4x2-6"),  # ESC-50
    *("3x2-3", "3x1-4", "3x2-4", "3x4-4", "3x4-5", "3x1-6", "3x2-6", "3x4-6"),  # RAVDESS
)


def _dnd_sed() -> dict[str, dict[str, Any]]:
    """Table 1 of Drossos et al. 2020: plain or depthwise separable blocks, below a GRU or a dilated convolution."""
    gru = {"seq": "causalgru", "seq.hidden": 256, "seq.num_layers": 1}
    systems: dict[str, dict[str, Any]] = {
        "dnd-base": {"backbone": "crnn_cnn", **gru},
        "dnd-dws": {"backbone": "crnn_dws", **gru},
    }
    for name, backbone in (("dil", "crnn_cnn"), ("dnd", "crnn_dws")):
        for kernel in KERNELS:
            for dilation in DILATIONS:
                systems[f"dnd-{name}-k{kernel}-d{dilation}"] = {
                    "backbone": backbone,
                    "seq": "dilated",
                    "seq.kernel": kernel,
                    "seq.dilation": dilation,
                }
    return systems


def _prinzivalle() -> dict[str, dict[str, Any]]:
    """The rows of Prinzivalle's report of 2021: five for polyphonic mixtures, two for clips of one sound."""
    gru = {"seq": "causalgru", "seq.hidden": 256, "seq.num_layers": 1}
    dilated = {"seq": "dilated", "seq.kernel": 3, "seq.dilation": 10}
    rows = {
        "baseline": {"backbone": "crnn_cnn", **gru},
        "dilated": {"backbone": "crnn_cnn", **dilated, "seq.join": "conv1x1"},
        "dessed": {"backbone": "crnn_dws", **gru},
        "conv1x1": {"backbone": "crnn_dws", **dilated, "seq.join": "conv1x1"},
        "maxpool": {"backbone": "crnn_dws", **dilated, "seq.join": "maxpool"},
        "mono-baseline": {"backbone": "crnn_cnn", **gru},
        "mono-proposed": {"backbone": "crnn_dws", **dilated, "seq.join": "mean"},
    }
    return {
        f"prinzivalle-{name}": {**keys, "backbone.frontend": "mfcc40_2048" if name.startswith("mono") else "mfcc40"}
        for name, keys in rows.items()
    }


def _erann() -> dict[str, dict[str, Any]]:
    """Tables 3, 6 and 7 of Verbitskiy and Vyshegorodtsev 2021.

    Named <seconds of a training excerpt>x<time factor>-<width>.
    """
    systems: dict[str, dict[str, Any]] = {}
    for shape in ERANNS:
        seconds, time_factor, width = map(int, shape.replace("x", "-").split("-"))
        systems[f"erann-{shape}"] = {
            "backbone": "erann",
            "backbone.width": width,
            "backbone.time_factor": time_factor,
            "seq": "none",
            "train.crop_seconds": seconds,
        }
    return systems


SYSTEMS: Mapping[str, Mapping[str, Any]] = _dnd_sed() | _prinzivalle() | _erann()
"""Keys of a run's configuration by name of the system: what `model=NAME` stands for.

Of several with the same parts the first gives the architecture its name.
"""
