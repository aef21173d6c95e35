"""`make release`: build the wheel of the last commit into dist/ and check it.

It is built twice, which must give the same bytes, and tried alone in an empty environment, whose packages are listed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import wave
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command, or end with its exit status."""
    if (
        status := subprocess.run(command, cwd=folder, env={**os.environ, **(environment or {})}, check=False).returncode
    ) != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit status {status}")


def build(folder: Path) -> Path:
    """The wheel of what is committed, from a copy of it in `folder`."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-m"], cwd=folder, input=archive, check=True)  # with the time of now
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder / "out", folder=folder)
    (wheel,) = (folder / "out").iterdir()
    return wheel


def try_alone(wheel: Path, folder: Path) -> Path:
    """Install the wheel alone in a new environment and run a detection; returns the Python of that environment."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        folder / "one" / "constraints.txt",
        wheel,
        folder=folder,
    )
    run(python, "-m", "pip", "check", folder=folder)
    with wave.open(str(folder / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16000))
    for words in ("--version", "models", "detect silence.wav --model fmn04+tf-128_synthetic", "benchmark fmn04"):
        run(
            folder / "venv" / "bin" / "efficient-sed",
            *words.split(),
            folder=folder,
            environment={"EFFICIENT_SED_HOME": str(folder / "home")},
        )
    return python


def main() -> None:
    """Run the command line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, again = build(folder / "one"), build(folder / "two")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != hashlib.sha256(again.read_bytes()).hexdigest():
            sys.exit(
                f"{wheel.name} came out otherwise the second time; a release must not depend on when and where "
                "it is built"
            )
        python = try_alone(wheel, folder)
        tool = folder / "tool"
        venv.create(tool, with_pip=True)
        run(tool / "bin" / "python", "-m", "pip", "install", "--quiet", "cyclonedx-bom==7.5.0", folder=folder)
        DIST.mkdir(exist_ok=True)
        bill = DIST / f"{wheel.name.removesuffix('.whl')}.cdx.json"
        run(
            tool / "bin" / "cyclonedx-py",
            "environment",
            "--output-reproducible",
            "--output-file",
            bill,
            "--pyproject",
            folder / "one" / "pyproject.toml",
            python,
            folder=folder,
        )
        shutil.copy(wheel, DIST / wheel.name)
    sys.stdout.write(f"{DIST / wheel.name}\n{bill}\nsha256 {digest}, twice\n")


if __name__ == "__main__":
    main()
