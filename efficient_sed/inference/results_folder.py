"""A folder with a file of results for each recording, which a later `detect` can complete.

A hidden file `.detect-FORMAT.json` beside the results records which settings each was made with, and from which state
of its recording. Results that were made in different ways are never mixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efficient_sed.errors import ConfigError, printable
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.json import parse_json
from efficient_sed.files.locks import locked
from efficient_sed.inference.recordings import Recording
from efficient_sed.models.weights.hub import local_file

ADVICE = "give another folder as --output DIR, or --overwrite to make it anew"
Settings = Mapping[str, Any]
"""What decides the content of a result: model and options."""


def start_results(
    outputs: Mapping[Path, Recording], folder: Path, output_format: str, settings: Settings, *, overwrite: bool
) -> set[Path]:
    """Find out which results are finished, and record how the others will be made.

    Args:
        outputs: Recording of each file of results.
        folder: Where the files lie.
        output_format: Of the files; each format has a record of its own.
        settings: How results are made now.
        overwrite: Count no result as finished; each stays until the new one replaces it.

    Returns:
        The files that are finished.

    Raises:
        ConfigError: If the folder cannot be written, or holds a result that was made in another way.
    """
    record_file = folder / f".detect-{output_format}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(record_file.with_suffix(".lock")):
            record = _Record.load(record_file)
            finished = {
                path
                for path, recording in outputs.items()
                if not record.claim(path, folder, _stamp(recording.path), settings, overwrite=overwrite)
            }
            record.save(record_file)
    except OSError as error:
        raise ConfigError(f"--output {folder}: cannot be written ({error.strerror})") from error
    return finished


class _Record:
    """How the results of a folder were made.

    Args:
        made: By the result's name: "settings", and "recording", the stamp of the recording.
        stale: By name the modification time of results that `--overwrite` will replace.
    """

    def __init__(self, made: dict[str, Any], stale: dict[str, int]) -> None:
        self.made, self.stale = made, stale

    @classmethod
    def load(cls, path: Path) -> _Record:
        """Read a record; an empty one if there is no file."""
        if not path.is_file():
            return cls({}, {})
        try:
            content = parse_json(path.read_bytes())
            settings = content["settings"]
            made = {
                name: {"recording": stamp, "settings": settings[index]}
                for name, (stamp, index) in content["made"].items()
            }
            return cls(made, dict(content["stale"]))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = "damaged, so how the results beside it were made is unknown; delete it"
            raise ConfigError(f"--output {path}: {problem}, then {ADVICE}") from error

    def save(self, path: Path) -> None:
        """Write the record; equal settings are stored once."""
        settings: list[Any] = []
        made = {}
        for name, entry in self.made.items():
            if entry["settings"] not in settings:
                settings.append(entry["settings"])
            made[name] = [entry["recording"], settings.index(entry["settings"])]
        write_atomically(path, json.dumps({"settings": settings, "made": made, "stale": self.stale}).encode())

    def claim(self, path: Path, folder: Path, stamp: str, settings: Settings, *, overwrite: bool) -> bool:
        """Whether a result has to be made now; if so, how is recorded.

        Raises:
            ConfigError: If the result is there and was made in another way.
        """
        name = printable(path.relative_to(folder).as_posix())
        modified = path.stat().st_mtime_ns if path.is_file() else None
        if overwrite and modified is not None:
            self.stale[name] = modified
        if modified is not None and modified != self.stale.get(name):
            _check_same(path, self.made.get(name), stamp, settings)
            return False
        self.made[name] = {"recording": stamp, "settings": dict(settings)}
        return True


def _check_same(path: Path, made: Mapping[str, Any] | None, stamp: str, settings: Settings) -> None:
    """Raise a ConfigError unless a result was made from this recording with these settings."""
    if made is None:
        raise ConfigError(f"--output {path}: is there already, and not known to be a result of detect; {ADVICE}")
    before = made["settings"]
    for key in {**before, **settings}:
        if before.get(key) != settings.get(key):
            values = f"{key}={before.get(key)}, now {settings.get(key)}"
            raise ConfigError(f"--output {path}: was made with {values}; {ADVICE}")
    if made["recording"] != stamp:
        problem = "was made of another recording, or of this one before it was changed"
        raise ConfigError(f"--output {path}: {problem}; {ADVICE}")


def _stamp(recording: Path) -> str:
    """Size and modification time: whether it is the same file as before, in whichever folder."""
    status = recording.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def identify_model(model: str) -> str:
    """A model's name, or for a file its name with the first digits of its SHA-256."""
    path = local_file(model)
    if not path.is_file():
        return model
    with path.open("rb") as file:
        return f"{path.name} ({hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
