"""A few short soundscapes in the layout in which URBAN-SED is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fold_files import write_tone

from efficient_sed.data.sets.urban_sed import FOLDERS


def observation(label: str, onset: float, duration: float, role: str = "foreground") -> dict[str, Any]:
    value = {"label": label, "role": role, "event_time": onset, "event_duration": duration, "snr": 10.0}
    return {"time": onset, "duration": duration, "value": value, "confidence": 1.0}


def jams(observations: list[dict[str, Any]], namespace: str = "scaper") -> str:
    annotation = {"namespace": namespace, "data": observations, "sandbox": {}, "annotation_metadata": {}}
    return json.dumps({"annotations": [annotation], "file_metadata": {"duration": 1.0}, "sandbox": {}})


def jams_path(root: Path, folder: str, number: int = 0) -> Path:
    return root / "annotations" / folder / f"soundscape_{folder}_uniform{number}.jams"


def write_urban_sed(root: Path, seconds: float = 1.0) -> Path:
    """Two soundscapes in each part: a siren over a background."""
    for folder in FOLDERS.values():
        for number in range(2):
            path = jams_path(root, folder, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            background = observation("noise", 0.0, seconds, role="background")
            path.write_text(jams([background, observation("siren", 0.25, 0.5)]))
            path.with_suffix(".txt").write_text("0.25\t0.75\tsiren\n")
            write_tone(root / "audio" / folder / f"{path.stem}.wav", 700, seconds, 8000)
    return root
