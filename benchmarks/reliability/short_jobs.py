"""Jobs for commands that write only at their end: the words of each, and its files that are always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from training import write_audioset

from efficient_sed.models.weights.cards import SYNTHETIC_DETECTOR
from reliability.jobs import Job, Material, hash_of


class ShortJob(Job):
    """A command whose files are whole or not there."""

    timed: ClassVar[tuple[str, ...]] = ()
    """Suffixes of files that hold times."""

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        return {}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        files = [path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".lock"]
        return {str(path.relative_to(folder)): path.suffix in self.timed or hash_of(path) for path in files}


class Export(ShortJob):
    """An exported model."""

    name = "export"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "export",
            "--force",
            str(self.material.teacher),
            "--format",
            "onnx",
            "--output",
            str(folder / "model.onnx"),
        ]


class Detect(ShortJob):
    """Events of recordings."""

    name = "detect"
    timed = (".html",)

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        written = {
            option: str(folder / f"found.{suffix}")
            for option, suffix in (("--output", "tsv"), ("--report", "html"), ("--plot", "png"))
        }
        return [
            "detect",
            str(first_scene(self.material)),
            "--model",
            SYNTHETIC_DETECTOR,
            *(word for pair in written.items() for word in pair),
        ]


class DetectScores(ShortJob):
    """Scores of recordings."""

    name = "detect scores"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "detect",
            str(first_scene(self.material).parent),
            "--model",
            SYNTHETIC_DETECTOR,
            "--format",
            "npz",
            "--output",
            str(folder / "scores"),
        ]


class Plot(ShortJob):
    """A picture of results."""

    name = "plot"
    timed = (".html",)

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return ["plot", "--published", "--output", str(folder / "plots" / "frontier.png")]


class Benchmark(ShortJob):
    """A measurement of speed."""

    name = "benchmark"
    timed = (".csv",)

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "benchmark",
            "fmn04",
            "--seconds",
            "1",
            "--batch",
            "1",
            "--modes",
            "eager",
            "--csv",
            str(folder / "costs.csv"),
        ]


class Index(ShortJob):
    """What is known of AudioSet's clips is kept below the home folder."""

    name = "index"
    timed = (".npz",)

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self.root = material.data_root / "audioset"
        if not self.root.is_dir():
            self.root.mkdir()
            write_audioset(self.root, 4)

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "data",
            "check",
            "data=audioset_strong",
            f"data.root={self.root}",
            "data.num_workers=0",
            "--manifest",
            str(folder / "clips.jsonl"),
        ]


SHORT_JOBS: dict[str, Callable[[Material], Job]] = {
    job.name: job for job in (Export, Detect, DetectScores, Plot, Benchmark, Index)
}


def first_scene(material: Material) -> Path:
    """A recording with events."""
    return min(material.data_root.glob("synthetic_*/audio/test/*.flac"))
