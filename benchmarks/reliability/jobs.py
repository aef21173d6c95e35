"""Small jobs, one for each long command: its words, its finished parts, and its result."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.result_file import RESULT_FILE
from efficient_sed.files.cache import HOME_VARIABLE
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.weights import cards
from efficient_sed.models.weights.cards import SYNTHETIC_DETECTOR
from efficient_sed.models.weights.download import download
from efficient_sed.models.weights.read import read_checkpoint
from efficient_sed.teachers._journal import open_journal
from efficient_sed.training.curves import read_curves
from efficient_sed.training.run_files import LAST_CHECKPOINT, PROGRESS_FILE
from reliability.processes import fork_runs
from reliability.server import BadServer, serving
from reliability.whole import read_h5

DATA_WORDS = (
    "data=synthetic",
    "data.num_train=8",
    "data.num_validation=4",
    "data.num_test=4",
    "data.scene_seconds=3",
    "data.clip_seconds=3",
    "data.num_workers=0",
)
TRAIN_WORDS = (
    "backbone=fmn04",
    "train.epochs=3",
    "train.batch_size=4",
    "train.accelerator=cpu",
    "train.select=last",
    "benchmark.seconds=1",
    "benchmark.repeats=3",
)
NEEDED = ("models.weights.convert", "data.storage.packing", "data.check", "teachers.write")
PLOTTED = "plots/frontier.png"


@dataclasses.dataclass(frozen=True)
class Material:
    """What jobs read."""

    data_root: Path
    teacher: Path
    """A model of the data's classes."""
    checkpoint: Path
    """Its weights as PyTorch saves them."""
    cards: Path
    """A folder with one card, of weights that the server has."""
    server: BadServer

    @property
    def data_words(self) -> tuple[str, ...]:
        """Options that name the data."""
        return (*DATA_WORDS, f"data.root={self.data_root}")


@contextmanager
def material(seed: int) -> Iterator[Material]:
    """Scenes, a teacher and a server of released weights, until the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="reliability_")))
        data = SyntheticConfig(
            root=str(folder / "data"),
            num_train=8,
            num_validation=4,
            num_test=4,
            scene_seconds=3.0,
            clip_seconds=3,
            num_workers=0,
        )
        data.load()
        for module in NEEDED:  # once here, not in every process
            import_module(f"efficient_sed.{module}")
        compose_run(list(DATA_WORDS))
        torch.manual_seed(0)
        model = es.create_model("fmn04", classes=list(data.load().classes))
        es.save_model(model, folder / "teacher.safetensors")
        torch.save(model.state_dict(), folder / "fmn04.pt")
        card = cards.list_cards()[SYNTHETIC_DETECTOR]
        server = stack.enter_context(
            serving((resource_folder("pretrained") / "weights" / card.file).read_bytes(), seed)
        )
        (card_folder := folder / "cards").mkdir()
        (card_folder / "one.json").write_text(json.dumps({**dataclasses.asdict(card), "url": server.url}))
        yield Material(folder / "data", folder / "teacher.safetensors", folder / "fmn04.pt", card_folder, server)


class Job(ABC):
    """A command that is run in a folder of its own."""

    name: ClassVar[str]

    def __init__(self, material: Material) -> None:
        self.material = material

    @abstractmethod
    def arguments(self, folder: Path) -> list[str]:
        """What is typed behind `efficient-sed`."""

    def before(self, folder: Path) -> None:
        """What the command's process needs before it."""
        os.environ[HOME_VARIABLE] = str(folder / "home")

    @abstractmethod
    def finished(self, folder: Path) -> dict[str, int]:
        """How much is finished and must never become less."""

    @abstractmethod
    def result(self, folder: Path) -> dict[str, Any]:
        """What comes out, apart from times, to be compared."""


class Train(Job):
    """A training."""

    name = "train"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "train",
            "--quiet",
            *TRAIN_WORDS,
            "seq=mingru",
            "seq.hidden=16",
            *self.material.data_words,
            f"output_dir={folder / 'runs'}",
        ]

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        return {f"{path.name} steps": steps_of(path) for path in (folder / "runs").glob("*")}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        return {path.parent.name: run_result(path.parent) for path in (folder / "runs").glob(f"*/{RESULT_FILE}")}


class Sweep(Train):
    """A sweep."""

    name = "sweep"
    words: ClassVar[tuple[str, ...]] = ("seq=none", "seed=0,1", "train.epochs=2")

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        words = [word for word in TRAIN_WORDS if word != "train.epochs=3"]
        return [
            "sweep",
            *words,
            *self.words,
            *self.material.data_words,
            f"output_dir={folder / 'runs'}",
            "--plot",
            str(folder / PLOTTED),
        ]

    def before(self, folder: Path) -> None:
        """As `Job.before`."""
        super().before(folder)
        fork_runs()

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        drawn = {path.name for path in (folder / PLOTTED).parent.glob("[!.]*")}
        return {**super().result(folder), "drawn": drawn}


class PseudoLabel(Job):
    """Pseudo-labels of a teacher."""

    name = "pseudo-label"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "pseudo-label",
            "--teacher",
            str(self.material.teacher),
            str(folder / "logits.h5"),
            *self.material.data_words,
        ]

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        output, journal = folder / "logits.h5", folder / "logits.h5.part"
        if output.is_file():
            return {"clips": len(read_h5(output)["filenames"]) and 8}
        return {"clips": labelled_clips(journal) if journal.is_file() else 0}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        return {
            name: value
            for name, value in read_h5(folder / "logits.h5").items()
            if name not in ("header", "attribute versions")
        }


class Pack(Job):
    """A packed data set."""

    name = "data pack"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return ["data", "pack", "--force", *self.material.data_words, str(folder / "packed.h5")]

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        return {"file": (folder / "packed.h5").is_file()}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        return read_h5(folder / "packed.h5")


class Scenes(Job):
    """Scenes are made where they are first asked for."""

    name = "data check"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return [
            "data",
            "check",
            *DATA_WORDS,
            "data.num_workers=1",
            f"data.root={folder / 'data'}",
            "--manifest",
            str(folder / "clips.txt"),
        ]

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        return {"sets": len(list(folder.glob("data/synthetic_*/settings.json")))}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        files = [path for path in (*folder.glob("*.txt"), *folder.glob("data/[!.]*/**/*")) if path.is_file()]
        return {str(path.relative_to(folder)): hash_of(path) for path in files}


class Convert(Job):
    """A converted checkpoint."""

    name = "convert"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return ["models", "convert", "--force", str(self.material.checkpoint), str(folder / "model.safetensors")]

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        return {"file": (folder / "model.safetensors").is_file()}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        return {"file": hash_of(folder / "model.safetensors")}


class Download(Convert):
    """Released weights are fetched by any command that names them."""

    name = "download"

    def arguments(self, folder: Path) -> list[str]:
        """As `Job.arguments`."""
        return ["models", "convert", "--force", SYNTHETIC_DETECTOR, str(folder / "model.safetensors")]

    def before(self, folder: Path) -> None:
        """As `Job.before`."""
        super().before(folder)
        vars(cards)["resource_folder"] = lambda _: self.material.cards
        vars(cards)["download"] = download  # tests refuse any
        cards.list_cards.cache_clear()

    def finished(self, folder: Path) -> dict[str, int]:
        """As `Job.finished`."""
        fetched = [
            path
            for path in (folder / "home").glob("*.safetensors")
            if path.read_bytes() == self.material.server.content
        ]
        return {**super().finished(folder), "fetched": len(fetched)}

    def result(self, folder: Path) -> dict[str, Any]:
        """As `Job.result`."""
        fetched = {
            path.name: path.read_bytes() == self.material.server.content
            for path in (folder / "home").glob("*.safetensors")
        }
        return {**super().result(folder), "fetched": fetched}


JOBS: dict[str, type[Job]] = {job.name: job for job in (Train, Sweep, PseudoLabel, Pack, Convert, Download, Scenes)}


def warm_up(folder: Path, kinds: Sequence[str]) -> None:
    """Everything that trainings import and compile, once, in this process, if there will be any."""
    if not any(word in kind for kind in kinds for word in ("train", "sweep")):
        return
    with TemporaryDirectory(dir=folder) as scratch, redirect_stdout(io.StringIO()):
        main(
            [
                "train",
                "--quiet",
                *TRAIN_WORDS,
                *DATA_WORDS,
                f"data.root={scratch}/data",
                "seq=none",
                "train.epochs=1",
                f"output_dir={scratch}/runs",
            ]
        )
        main(["plot", f"{scratch}/runs", "--output", f"{scratch}/frontier.png"])


def steps_of(run_folder: Path) -> int:
    """Steps that a resumed training need not take again; one more once there is a result."""
    last = run_folder / LAST_CHECKPOINT
    steps = torch.load(last, weights_only=True)["global_step"] if last.is_file() else 0
    return int(steps) + (run_folder / RESULT_FILE).is_file()


def run_result(run_folder: Path) -> dict[str, Any]:
    """Weights, scores and names of the curves of a finished run.

    Points of curves are left out: Lightning writes the checkpoint of an epoch before its row of the table, so that
    a kill between the two loses that point.
    """
    result = json.loads((run_folder / RESULT_FILE).read_text())
    weights, _ = read_checkpoint(run_folder / "model.safetensors")
    training = {key: value for key, value in result["training"].items() if key != "seconds_per_epoch"}
    return {
        "weights": {name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in weights.items()},
        "metrics": result["metrics"],
        "training": training,
        "curves": set(read_curves(run_folder)),
        "files": {
            path.name
            for path in run_folder.glob("[!.]*")
            if path.suffix not in (".csv", ".log") and path.name != PROGRESS_FILE
        },
    }


def labelled_clips(journal: Path) -> int:
    """Clips that an unfinished journal holds; read from a copy, since opening one cuts off what is torn."""
    with journal.open("rb") as file:
        line = file.readline()
    if not line.endswith(b"\n"):
        return 0
    with TemporaryDirectory() as scratch, open_journal(Path(shutil.copy(journal, scratch)), json.loads(line)) as opened:
        return len(opened)


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
