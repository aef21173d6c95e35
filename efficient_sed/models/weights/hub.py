"""Models on the Hugging Face Hub: `hf:user/name`, or one of its branches, tags and commits, `hf:user/name@revision`.

The package huggingface_hub, which timm brings, speaks with the hub. Cache, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and tokens
(`HF_TOKEN`, or `hf auth login`) are its own: nothing of them passes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from efficient_sed import __version__
from efficient_sed.errors import MAX_LISTED, CheckpointError, EfficientSedError
from efficient_sed.machine.environment import one_line

HUB_MODEL_FILE = "model.safetensors"
LIBRARY_NAME = "efficient-sed"
_NAME = re.compile(r"hf(?:-hub)?:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^\s@]+))?")
_NO_NAME = "not a name on the hub; type hf:USER/NAME or hf:USER/NAME@REVISION"
_LOG_IN = "log in by `hf auth login` or set HF_TOKEN"


class HubName(NamedTuple):
    """A repository, and one of its revisions."""

    repo: str
    """Such as "user/name"."""
    revision: str | None
    """A branch, tag or commit, None for the main branch."""

    def __str__(self) -> str:
        return f"hf:{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_hub_name(name: str) -> bool:
    """Whether a name speaks of the hub; timm's prefix `hf-hub:` is taken too."""
    return name.startswith(("hf:", "hf-hub:"))


def parse_hub_name(name: str) -> HubName:
    """Repository and revision.

    Raises:
        CheckpointError: If the name has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise CheckpointError(f"{name}: {_NO_NAME}")
    return HubName(match["repo"], match["revision"])


def local_file(name: str) -> Path:
    """The file that a name without a card stands for: its path, or what was fetched from the hub; it may not be there.

    Raises:
        CheckpointError: If it cannot be had from the hub.
    """
    return fetch_from_hub(name) if is_hub_name(name) else Path(name).expanduser()


def fetch_from_hub(name: str, file: str = HUB_MODEL_FILE) -> Path:
    """A file of a repository in huggingface_hub's cache, downloaded if the revision has another one.

    Args:
        name: `hf:user/name[@revision]`.
        file: Its name there.

    Raises:
        CheckpointError: If there is no such repository, revision or file, or it cannot be had; the message says which
            there are.
    """
    hub = parse_hub_name(name)
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RevisionNotFoundError

    with hub_errors(hub):
        try:
            path = hf_hub_download(
                hub.repo, file, revision=hub.revision, library_name=LIBRARY_NAME, library_version=__version__
            )
            return Path(path)
        except LocalEntryNotFoundError:
            raise
        except RevisionNotFoundError as error:
            refs = HfApi().list_repo_refs(hub.repo)
            there = _listed([ref.name for ref in (*refs.branches, *refs.tags)])
            raise CheckpointError(f"{hub}: no such revision; branches and tags are {there}") from error
        except EntryNotFoundError as error:
            there = _listed(HfApi().list_repo_files(hub.repo, revision=hub.revision))
            raise CheckpointError(
                f"{hub}: holds no {file}, which `efficient-sed models push` writes; it holds {there}"
            ) from error


@contextmanager
def hub_errors(hub: HubName) -> Iterator[None]:
    """Turn what huggingface_hub raises into a CheckpointError of one line."""
    try:
        yield
    except EfficientSedError:
        raise
    except Exception as error:  # its versions and the libraries below it raise their own kinds
        raise CheckpointError(f"{hub}: {_reason(hub, error)}") from error


def _reason(hub: HubName, error: Exception) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.HFValidationError):
        return _NO_NAME
    if isinstance(error, errors.GatedRepoError):
        return f"access has to be asked for at {constants.ENDPOINT}/{hub.repo}; then {_LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no such repository, or a private one; check the name, or {_LOG_IN}"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and the cache does not hold it; type the same command once without it"
    if isinstance(error, errors.LocalEntryNotFoundError) or "Connect" in type(error).__name__:
        return f"{constants.ENDPOINT} does not answer; check the connection"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"{constants.ENDPOINT} refused with status {status}; {_LOG_IN}, with a token that may do this"
    cause = error.__cause__ if type(error) is RuntimeError else None  # says which file, and not why
    return one_line(error) if cause is None else f"{error} {one_line(cause)}"


def _listed(names: list[str]) -> str:
    shown = sorted(names)[:MAX_LISTED]
    rest = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return (", ".join(shown) or "nothing") + rest
