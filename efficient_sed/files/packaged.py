"""Folders of shipped files: configs, pretrained, published, results.

They lie beside the package in a checkout, and inside it in an installed wheel.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_CHECKOUT = {"published": "benchmarks/published", "results": "benchmarks/results"}


def resource_folder(name: str) -> Path:
    """Find a folder of shipped files: "configs", "pretrained", "published" or "results"."""
    packaged = _PACKAGE / "_shipped" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / _IN_CHECKOUT.get(name, name)


def presets(group: str) -> list[str]:
    """Names of the shipped presets of a group: "experiment", "sweep" or "data"."""
    return sorted(path.stem for path in (resource_folder("configs") / group).glob("*.yaml"))
