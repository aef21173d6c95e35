"""`make pictures`: draws the pictures of the documentation by the commands that their captions name.

python docs/_pictures.py [MODEL RECORDING]

Run in an empty temporary folder. Pages are photographed by Chromium; every PNG is reduced to a palette, so that it
stays small. The web page shows a recording of the real world, which is in no package of Python: it is drawn only with
MODEL, a detector of such sounds, and RECORDING, as docs/tutorials/web-page.md says.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import soundfile
from PIL import Image
from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent / "pictures"
RUNTIME = Path(__file__).parents[1] / ".npm" / "node_modules" / "onnxruntime-web"
WIDTH, COLOURS = 1200, 256  # fewer lose the pale backgrounds
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
    """Draw the web page with a model and a recording, or else everything anew but that page."""
    with tempfile.TemporaryDirectory() as name:
        if len(sys.argv) > 1:
            photograph_web_page(Path(name), *(Path(word).resolve() for word in sys.argv[1:]))
            return
        folder = Path(name)
        run(folder, "plot", "--published", "--output", "frontier.png")
        run(folder, "data", "check", *DATA)
        shutil.copy(next(folder.glob("datasets/*/audio/test/000000.flac")), folder / "scene.flac")
        model = "fmn04+tf-128_synthetic"
        run(folder, "detect", "scene.flac", "--model", model, "--plot", "detect.png", "--report", "report.html")
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


def photograph_web_page(folder: Path, model: Path, recording: Path) -> None:
    """The exported page with a file, and narrow and dark with a microphone that hears the same."""
    run(folder, "export", str(model), "--format", "web", "--runtime", str(RUNTIME), "--output", "page")
    samples, rate = soundfile.read(recording)
    soundfile.write(folder / "sound.wav", samples, rate)
    flags = [*CHROMIUM[2:5], "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    flags.append(f"--use-file-for-fake-audio-capture={folder / 'sound.wav'}")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder / "page"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM[0]), args=flags)
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.set_input_files("#file", recording)
        page.locator("#name", has_text=recording.name).wait_for()
        page.locator("#progress").wait_for(state="hidden")
        page.screenshot(path=folder / "web_page.png")
        page.set_viewport_size({"width": 420, "height": 1000})
        page.emulate_media(color_scheme="dark")
        page.click("#microphone")
        page.wait_for_timeout(12_000)
        page.screenshot(path=folder / "web_microphone.png")
        server.shutdown()
    for name in ("web_page.png", "web_microphone.png"):
        keep(folder / name)


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
