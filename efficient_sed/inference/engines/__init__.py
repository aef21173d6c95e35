"""What runs exported models on a CPU, without PyTorch. An engine is one file in this folder."""

from efficient_sed.inference.engines.contract import (
    Engine,
    default_engine,
    engines_for,
    exported_suffixes,
    is_exported,
    open_engine,
)

__all__ = [
    "Engine",
    "default_engine",
    "engines_for",
    "exported_suffixes",
    "is_exported",
    "open_engine",
]
