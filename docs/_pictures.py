"""`make pictures`: draws the pictures of the documentation by the commands that their captions name.

Run in an empty temporary folder. Pages are photographed by Chromium; every PNG is reduced
to a palette, so that it stays small.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
WIDTH, COLOURS = 1200, 128
DATA = ("data=synthetic", "data.num_train=24", "data.num_validation=12", "data.num_test=12")
SMALL = (
    "data.num_train=48",
    "data.num_validation=12",
    "data.num_test=12",
    "data.scene_seconds=5",
    "data.clip_seconds=5",
)
CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--virtual-time-budget=5000",
)


def main() -> None:
    """Draw everything anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, "plot", "--published", "--output", "frontier.png")
        run(folder, "data", "check", *DATA)
        shutil.copy(next(folder.glob("datasets/*/audio/test/000000.flac")), folder / "scene.flac")
        run(folder, "detect", "scene.flac", "--plot", "detect.png", "--report", "report.html")
        run(
            folder,
            "train",
            "experiment=finetune",
            "backbone=fmn04",
            "seq=gru",
            "seq.hidden=64",
            *SMALL,
            "train.epochs=6",
        )
        (result,) = folder.glob("runs/*/result.json")
        for picture in (folder / "frontier.png", folder / "detect.png", result.parent / "psd_roc.png"):
            keep(picture)
        keep(result.parent / "curves.png")
        for page, height in (("report.html", 1150), ("frontier.html", 1150)):
            target = folder / f"{Path(page).stem}_page.png"
            size = f"--window-size={WIDTH},{height}"
            subprocess.run([*CHROMIUM, size, f"--screenshot={target}", (folder / page).as_uri()], check=True)
            keep(target)


def run(folder: Path, *words: str) -> None:
    """Run a command of the project."""
    subprocess.run([sys.executable, "-m", "efficient_sed", *words], cwd=folder, check=True)


def keep(path: Path) -> None:
    """Copy a picture into the documentation, no wider than it is shown."""
    image = Image.open(path)
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    if flat.width > WIDTH:
        flat = flat.resize((WIDTH, round(flat.height * WIDTH / flat.width)), Image.Resampling.LANCZOS)
    flat.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(PICTURES / path.name, optimize=True)


if __name__ == "__main__":
    main()
