"""`make constraints`: the newest packages that fit together, into constraints.txt, and their licences into licences.md.

pip decides what fits, for the machine and the Python that it runs on; nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXTRAS = "eval,plot,dev,docs"  # what `make` installs
HEAD = (
    "# The set that is tested together, written by `make constraints`. torch, torchvision and torchaudio must match; "
    "a newer torch alone breaks torchaudio.\n"
)
TITLE = """# Licences of what efficient_sed needs

Written by `make constraints`, as the packages themselves declare them. *needed* is what `pip install efficient-sed`
installs; *extra* comes with `eval`, `plot`, `dev` and `docs` only. None is shipped with this project: each comes from
where its authors publish it.

| package | version | licence | |
|---|---|---|---|
"""
DECLARED = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"
}  # where the metadata say nothing: from the project's own page
LONGEST = 60


def resolve(extras: str = "") -> dict[str, dict[str, Any]]:
    """Metadata of every package that an installation would have, by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        wanted = f"{ROOT}[{extras}]" if extras else str(ROOT)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--dry-run",
                "--ignore-installed",
                "--report",
                report,
                wanted,
            ],
            check=True,
        )
        metadata = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    return {
        item["name"]: item
        for item in sorted(metadata, key=lambda item: item["name"].lower())
        if item["name"] != "efficient-sed"
    }


def licence(metadata: dict[str, Any]) -> str:
    """What a package says of itself: an SPDX expression, a classifier, or the first line of what it has."""
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get("classifier", [])
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    lines = [line.strip(" =") for line in metadata.get("license", "").splitlines() if line.strip(" =")]
    short = lines[0] if len(lines) == 1 and len(lines[0]) <= LONGEST else ""
    found = (
        metadata.get("license_expression") or " and ".join(classifiers) or short or DECLARED.get(metadata["name"], "")
    )
    if not found:
        sys.exit(
            f"{metadata['name']} {metadata['version']} declares no licence; look it up and add it to DECLARED "
            f"in {Path(__file__).name}"
        )
    return str(found)


def main() -> None:
    """Run the command line."""
    everything, needed = resolve(EXTRAS), resolve()
    rows = [
        f"| {name} | {item['version']} | {licence(item)} | {'needed' if name in needed else 'extra'} |\n"
        for name, item in everything.items()
    ]
    (ROOT / "constraints.txt").write_text(
        HEAD + "".join(f"{name}=={item['version']}\n" for name, item in everything.items()), encoding="utf-8"
    )
    (ROOT / "licences.md").write_text(TITLE + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
