"""A picture of what was detected: the spectrogram and, beneath it, a row of events for each class."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from efficient_sed.audio.io import audio_info
from efficient_sed.data.events import Event
from efficient_sed.data.labels import warning_about
from efficient_sed.errors import ConfigError, DataError, MissingDependencyError, printable
from efficient_sed.files.atomic import write_atomically
from efficient_sed.inference.detect import read_windows
from efficient_sed.models.sed import SedModel

MAX_COLUMNS = 2000  # of the spectrogram: more than the picture has pixels
MAX_ROWS = 30
_LABEL_WIDTH, _LABEL_LINES = 30, 2


def plot_detections(
    path: str | Path, model: SedModel, events: Sequence[Event], output: str | Path, *, channel: str | int = "mix"
) -> None:
    """Draw the spectrogram and the events of a recording as a PNG; opacity shows an event's score.

    At most 30 classes are drawn, those with the highest scores; the axis says how many are left out.

    Args:
        path: The recording.
        model: Its front end makes the spectrogram.
        events: What was detected.
        output: File that ends in .png.
        channel: Of the recording: mix (the mean of all), first, or a number from 1.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        ConfigError: If `output` does not end in .png.
        DataError: If the audio cannot be decoded or the picture cannot be written.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("--plot", "matplotlib", "plot") from error
    if Path(output).suffix.lower() != ".png":
        raise ConfigError(f"plot={output} is not allowed: a file that ends in .png")
    duration_s = audio_info(path).duration_s
    mel, covered_s = pool_spectrogram(path, model, channel)
    labels, num_classes = _rows(events)

    roll_inches = 0.5 + 0.32 * max(2, len(labels))
    figure = Figure(figsize=(12, 3.6 + roll_inches), dpi=100, layout="constrained")
    top, roll = figure.subplots(2, 1, sharex=True, height_ratios=[3, roll_inches])
    top.imshow(
        mel, origin="lower", aspect="auto", extent=(0, covered_s, 0, len(mel)), cmap="magma", interpolation="nearest"
    )
    top.set_ylabel("mel band")
    title = "\n".join(filter(None, (printable(Path(path).name), warning_about(model.classes))))
    top.set_title(title, loc="left", fontsize=10, parse_math=False)
    for row, label in enumerate(labels):
        own = [event for event in events if event.label == label]
        colour = np.array(colormaps["tab10"](row % 10))
        faces = np.stack([np.append(colour[:3], 0.2 + 0.8 * min(1.0, max(0.0, event.score))) for event in own])
        # The edge keeps a short event of a long file visible.
        roll.broken_barh(
            [(event.onset_s, event.offset_s - event.onset_s) for event in own],
            (row - 0.36, 0.72),
            facecolors=faces,
            edgecolors=faces,
            linewidth=1,
        )
    roll.set_yticks(range(len(labels)), [_wrap(label) for label in labels], fontsize=8, parse_math=False)
    roll.set_ylim(max(2, len(labels)) - 0.5, -0.5)
    roll.set_xlim(0, duration_s)
    roll.grid(axis="x", alpha=0.3)
    roll.set_axisbelow(True)
    hidden = num_classes - len(labels)
    roll.set_xlabel("time (s)" + (f"; {hidden} more classes with lower scores are not shown" if hidden else ""))
    if not labels:
        roll.text(0.5, 0.5, "no events", transform=roll.transAxes, ha="center", va="center", color="0.4")
    data = io.BytesIO()
    FigureCanvasAgg(figure)  # becomes the figure's canvas: no window, no global state
    figure.savefig(data, format="png", metadata={"Software": "efficient_sed"})
    try:
        write_atomically(Path(output), data.getvalue())
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror})") from error


@torch.inference_mode()
def pool_spectrogram(path: str | Path, model: SedModel, channel: str | int = "mix") -> tuple[np.ndarray, float]:
    """The log-mel spectrogram of a file, averaged over time; one window is in memory at a time.

    Returns:
        The spectrogram (mel_bins, at most 2000), and the seconds that it covers.
    """
    duration_s, hop_s, stride = audio_info(path).duration_s, model.grid.hop_s, model.grid.stride
    total = max(1, math.ceil(round(duration_s / hop_s * stride, 6)))
    pool = math.ceil(total / MAX_COLUMNS)
    sums, counts = np.zeros((math.ceil(total / pool), model.frontend.mel_bins)), np.zeros((math.ceil(total / pool), 1))
    device = next(model.parameters()).device
    for window, waveform in read_windows(path, model.provenance.clip_seconds, model.grid, duration_s, channel=channel):
        begin = round(window.start_s / hop_s) * stride
        first, last = (window.first + window.fade_in) * stride, min(window.last * stride, total - begin)
        mel = model.frontend(torch.from_numpy(waveform).to(device))[0, 0, :, first:last].cpu().numpy()
        column = (begin + first + np.arange(mel.shape[1])) // pool
        np.add.at(sums, column, mel.T)
        np.add.at(counts, column, 1)
    return (sums / counts).T, len(sums) * pool * hop_s / stride


def _rows(events: Sequence[Event]) -> tuple[list[str], int]:
    """Labels to show, by first onset, and the number of labels there are."""
    best: dict[str, float] = {}
    for event in sorted(events):
        best[event.label] = max(event.score, best.get(event.label, 0.0))
    shown = set(sorted(best, key=lambda label: -best[label])[:MAX_ROWS])
    return [label for label in best if label in shown], len(best)


def _wrap(label: str) -> str:
    return "\n".join(textwrap.wrap(label, _LABEL_WIDTH, max_lines=_LABEL_LINES, placeholder=" …"))
