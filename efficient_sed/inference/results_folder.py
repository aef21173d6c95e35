"""A folder with a file of results for each recording: what is finished, and how it was made, so that `detect` can go on."""

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
from efficient_sed.inference.detect_files import Recording

ADVICE = "give another folder as --output DIR, or --overwrite to make it anew"


Settings = Mapping[str, Any]


def start_results(
    outputs: Mapping[Path, Recording], folder: Path, output_format: str, settings: Settings, *, overwrite: bool
) -> set[Path]:  # fmt: skip
    """Which results are finished; how the others will be made is written into a hidden record beside them.

    Results are not mixed: each belongs to its recording as it was, and to the settings that it was made with.

    Args:
        outputs: Recording of each file of results.
        settings: What decides what is in them.
        overwrite: Count none as finished; what is there stays until its successor takes its place.

    Raises:
        ConfigError: If the folder cannot be written, or holds a file that was made otherwise, or nobody knows how.
    """
    record_file = folder / f".detect-{output_format}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(record_file.with_suffix(".lock")):
            record = _Record.load(record_file)
            finished = set()
            for path, recording in outputs.items():
                if not record.claim(path, folder, _stamp(recording.path), settings, overwrite=overwrite):
                    finished.add(path)
            record.save(record_file)
    except OSError as error:
        raise ConfigError(f"--output {folder}: cannot be written ({error.strerror})") from error
    return finished


class _Record:
    """How results were made, by their names.

    `made` holds settings and state of the recording, `stale` when a file that is to be replaced was written.
    """

    def __init__(self, made: dict[str, Any], stale: dict[str, int]) -> None:
        self.made, self.stale = made, stale

    @classmethod
    def load(cls, path: Path) -> _Record:
        try:
            content = parse_json(path.read_bytes()) if path.is_file() else {"settings": [], "made": {}, "stale": {}}
            settings = content["settings"]
            made = {
                name: {"recording": stamp, "settings": settings[key]} for name, (stamp, key) in content["made"].items()
            }
            return cls(made, dict(content["stale"]))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = "damaged, so that nobody knows how the results beside it were made; delete it"
            raise ConfigError(f"--output {path}: {problem}, then {ADVICE}") from error

    def save(self, path: Path) -> None:
        settings: list[Any] = []
        made = {}
        for name, entry in self.made.items():
            if entry["settings"] not in settings:
                settings.append(entry["settings"])
            made[name] = [entry["recording"], settings.index(entry["settings"])]
        write_atomically(path, json.dumps({"settings": settings, "made": made, "stale": self.stale}).encode())

    def claim(self, path: Path, folder: Path, stamp: str, settings: Settings, *, overwrite: bool) -> bool:
        """Whether a file of results is to be made now."""
        name = printable(path.relative_to(folder).as_posix())
        written = path.stat().st_mtime_ns if path.is_file() else None
        if overwrite and written is not None:
            self.stale[name] = written
        if written is not None and written != self.stale.get(name):
            self._check_same(path, self.made.get(name), stamp, settings)
            return False
        self.made[name] = {"recording": stamp, "settings": dict(settings)}
        return True

    def _check_same(self, path: Path, made: Mapping[str, Any] | None, stamp: str, settings: Settings) -> None:
        if made is None:
            raise ConfigError(f"--output {path}: is there already, and not known to be a result of detect; {ADVICE}")
        before = made["settings"]
        if changed := [key for key in {**before, **settings} if before.get(key) != settings.get(key)]:
            key = changed[0]
            values = f"{key}={before.get(key)}, now {settings.get(key)}"
            raise ConfigError(f"--output {path}: was made with {values}; {ADVICE}")
        if made["recording"] != stamp:
            problem = "was made of another recording, or of this one before it was changed"
            raise ConfigError(f"--output {path}: {problem}; {ADVICE}")


def _stamp(recording: Path) -> str:
    """Tells whether it is the same file as before, in whichever folder."""
    status = recording.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def identify_model(model: str) -> str:
    """What a model is called, with the first digits of its file's hash, if it is a file."""
    path = Path(model)
    if not path.is_file():
        return model
    with path.open("rb") as file:
        return f"{path.name} ({hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
