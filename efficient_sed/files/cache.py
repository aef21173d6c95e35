"""The folder for downloaded weights and for indices of data sets."""

from __future__ import annotations

import os
from pathlib import Path

from efficient_sed.errors import CheckpointError

HOME_VARIABLE, DEFAULT_HOME = "EFFICIENT_SED_HOME", "~/.cache/efficient_sed"


def home_folder() -> Path:
    """Find the cache folder: `EFFICIENT_SED_HOME`, or `~/.cache/efficient_sed`.

    Raises:
        CheckpointError: If the user's home folder is unknown.
    """
    name = os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise CheckpointError(f"no folder for weights: {name} names no home; set {HOME_VARIABLE}=DIR") from error
