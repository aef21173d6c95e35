"""A finished run goes to the Hugging Face Hub: its model, result, configuration and a model card, in one commit."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from efficient_sed.errors import CheckpointError, ConfigError, DataError
from efficient_sed.experiment.folders import CONFIG_FILE
from efficient_sed.experiment.model_card import write_card
from efficient_sed.experiment.result_file import RESULT_FILE, read_result
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.checkpoint import MODEL_FILE, load_model, save_model
from efficient_sed.models.weights.hub import HubName, hub_errors, is_hub_name, parse_hub_name

CARD_FILE = "README.md"


def push_run(
    folder: Path,
    repo: str,
    licence: str | None,
    *,
    private: bool = False,
    revision: str | None = None,
    export: Callable[[SedModel], Path] | None = None,
) -> tuple[str, list[str]]:
    """Upload a finished run; the repository and the branch are made if they are not there.

    Folders of this machine are left out of what is uploaded: of a path such as /home/me/sounds the last name stays.

    Args:
        folder: Of the run.
        repo: Such as "user/name".
        licence: Identifier of the weights' licence, such as "MIT".
        private: Whether nobody else may see the repository.
        revision: Branch; default None, the main one.
        export: Writes another file of the model, which is uploaded too.

    Returns:
        The address of the commit, and the names of the files.

    Raises:
        DataError: If the folder holds no finished run, or its result is damaged.
        CheckpointError: If the model cannot be read, or the hub refuses.
        ConfigError: If the licence is missing, or the run is of another version.
    """
    if not licence:
        raise ConfigError("--licence is missing: a card names the licence of the weights, such as --licence MIT")
    hub = parse_hub_name(repo if is_hub_name(repo) else f"hf:{repo}")
    if hub.revision is not None:
        raise ConfigError(f"{repo}: a branch to push to is given as --revision {hub.revision}")
    hub = hub._replace(revision=revision)
    found = read_result(folder)
    if found is None or not (folder / MODEL_FILE).is_file():
        missing = RESULT_FILE if found is None else MODEL_FILE
        raise DataError(f"{folder}: holds no {missing}; give the folder of a finished run, such as runs/RUN")
    result, model = _without_folders(found), load_model(str(folder / MODEL_FILE))
    weights = _model_file(folder / MODEL_FILE, model)
    card = write_card(result, hub, licence, model)
    exported = [] if export is None else [export(model)]
    files: dict[str, bytes | Path] = {
        MODEL_FILE: weights,
        RESULT_FILE: json.dumps(result, indent=1).encode(),
        CONFIG_FILE: yaml.safe_dump(result["config"], sort_keys=False, allow_unicode=True).encode(),
        CARD_FILE: card.encode(),
        **{path.name: path for path in exported},
    }
    return _upload(hub, card, files, private=private), sorted(files)


def _model_file(path: Path, model: SedModel) -> bytes | Path:
    """The file of a model; written anew where its notes name a folder of this machine, as those of the model, too."""
    notes = _without_folders(model.provenance.notes)
    if notes == model.provenance.notes:
        return path
    model.provenance = dataclasses.replace(model.provenance, notes=notes)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / MODEL_FILE)
        return (Path(folder) / MODEL_FILE).read_bytes()


def _without_folders(value: Any) -> Any:
    """The same values, with the last name of each absolute path."""
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    is_path = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if is_path else value


def _upload(hub: HubName, card: str, files: Mapping[str, bytes | Path], *, private: bool) -> str:
    """Make the repository and the branch, and commit; the address of the commit."""
    from huggingface_hub import CommitOperationAdd, HfApi, ModelCard

    api = HfApi()
    with hub_errors(hub):
        ModelCard(card).validate("model")  # before anything is made there
        api.create_repo(hub.repo, private=private or None, exist_ok=True)
        if private and not api.model_info(hub.repo).private:
            raise CheckpointError(f"{hub}: is public; make it private in its settings, or leave out --private")
        if hub.revision is not None:
            api.create_branch(hub.repo, branch=hub.revision, exist_ok=True)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        message = "Upload a model by efficient-sed"
        return str(api.create_commit(hub.repo, operations, commit_message=message, revision=hub.revision).commit_url)
