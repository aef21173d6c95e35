"""Post-processing in a file of its own: JSON that `efficient-sed tune --output` writes and `detect` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import ConfigError, require
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.json import parse_json
from efficient_sed.postprocessing.carried import Postprocessing


@dataclass(frozen=True)
class PostprocessingFile:
    """What a file holds."""

    path: Path
    classes: tuple[str, ...]
    postprocessing: Postprocessing

    def for_model(self, classes: Sequence[str], hop_s: float) -> Postprocessing:
        """The parameters in the order of a model's classes.

        Args:
            classes: The model's labels.
            hop_s: Seconds of its frame.

        Raises:
            ConfigError: If it was tuned for other classes or another frame.
        """
        own, wanted = list(map(canonical, self.classes)), list(map(canonical, classes))
        for label in wanted:
            self._require(label in own, f"it has no class {label!r}, which the model has")
        for label in own:
            self._require(label in wanted, f"its class {label!r} is none of the model's")
        selected = self.postprocessing.select([own.index(label) for label in wanted])
        try:
            selected.check(len(wanted), hop_s)
        except ConfigError as error:
            self._require(False, str(error))
        return selected

    def _require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise ConfigError(f"{self.path}: {problem}; make one for this model by: efficient-sed tune MODEL")


def write_postprocessing(path: str | Path, postprocessing: Postprocessing, classes: Sequence[str]) -> None:
    """Write a file that `read_postprocessing` reads; it appears when it is complete.

    Raises:
        OSError: If it cannot be written.
    """
    content = {"classes": list(classes), **postprocessing.to_dict()}
    write_atomically(Path(path), (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def read_postprocessing(path: str | Path) -> PostprocessingFile:
    """Read what `write_postprocessing` wrote.

    Raises:
        ConfigError: If there is no such file, or it is damaged.
    """
    path = Path(path)
    try:
        content = parse_json(path.read_bytes())
        require(isinstance(content, Mapping), "postprocessing", type(content).__name__, "a table")
        values = dict(content)
        classes = values.pop("classes", None)
        problem = label_problem(classes) if isinstance(classes, list) and classes else "a list of labels"
        require(problem is None, "classes", classes, problem or "")
        postprocessing = Postprocessing.from_dict(values)
        postprocessing.check(len(classes))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{path}: is no file of efficient-sed tune --output ({error})") from error
    return PostprocessingFile(path, tuple(classes), postprocessing)
