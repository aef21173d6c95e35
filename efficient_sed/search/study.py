"""The study that all processes of a search share: an Optuna study in a journal, which outlives any of them."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efficient_sed.errors import DataError, require_package
from efficient_sed.files.locks import locked

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

FOLDER, JOURNAL, NAME, DRAW_LOCK = "search", "journal.log", "search", "draw.lock"
OWNER, OVERRIDES, SIGNATURE = "owner", "overrides", "signature"
"""Attributes of trials: the process that has it, and its run."""
SKIPPED, MESSAGE, COURSE, RETRIES = "skipped", "message", "course", "retries"
"""Why a draw was no trial, why it has no score, its validation scores, and how often it was queued again."""
MAX_RETRIES = 3
STARTING = timedelta(minutes=1)
"""A trial without an owner may be one that is being drawn just now."""


@dataclass
class SharedStudy:
    """A study as one process sees it; made by `open_study`."""

    study: Study
    folder: Path
    owner: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def drawing(self) -> contextlib.AbstractContextManager[None]:
        """A block in which no other process draws."""
        return locked(self.folder / DRAW_LOCK)

    def ask(self) -> Trial:
        """A new trial of this process."""
        trial = self.study.ask()
        trial.set_user_attr(OWNER, self.owner)
        return trial

    def skip(self, trial: Trial, reason: str) -> None:
        """End a draw that is not to be trained."""
        trial.set_user_attr(SKIPPED, reason)
        self.study.tell(trial, state=self._states().PRUNED)

    def last_skip(self) -> str:
        """Why the last draw that was skipped was no trial; empty if none was."""
        every = self.study.get_trials(deepcopy=False)
        return next((str(each.user_attrs[SKIPPED]) for each in reversed(every) if SKIPPED in each.user_attrs), "")

    def finish(self, trial: Trial, score: float, macs: int) -> None:
        """End a trial with its validation score and its cost."""
        self.study.tell(trial, (score, float(macs)))

    def give_up(self, trial: Trial, message: str, *, is_hopeless: bool) -> None:
        """End a trial that was stopped early, or whose run failed."""
        states = self._states()
        trial.set_user_attr(MESSAGE, message)
        self.study.tell(trial, state=states.PRUNED if is_hopeless else states.FAIL)

    def retry_lost(self) -> int:
        """Queue the trials of processes that have ended again, at most three times each; return how many there were."""
        states = self._states()
        found = [
            trial for trial in self.study.get_trials(deepcopy=False, states=(states.RUNNING,)) if self._is_lost(trial)
        ]
        for trial in found:
            try:
                self.study.tell(trial.number, state=states.FAIL)
            except (RuntimeError, ValueError):  # another process was faster
                continue
            retries = int(trial.user_attrs.get(RETRIES, 0)) + 1
            if retries <= MAX_RETRIES and trial.params:
                self.study.enqueue_trial(trial.params, {RETRIES: retries})
        return len(found)

    def trials(self) -> list[FrozenTrial]:
        """All but draws that were skipped, and trials that were queued again."""
        failed = self._states().FAIL
        every = self.study.get_trials(deepcopy=False)
        drawn = [trial for trial in every if SKIPPED not in trial.user_attrs]
        return [trial for trial in drawn if trial.state != failed or MESSAGE in trial.user_attrs]

    def num_ended(self) -> int:
        """How many trials have ended, however that was."""
        return sum(trial.state.is_finished() for trial in self.trials())

    def finished(self) -> list[FrozenTrial]:
        """Trials with a score."""
        return [trial for trial in self.trials() if trial.state == self._states().COMPLETE]

    def signatures(self) -> set[str]:
        """Of the runs of all trials."""
        return {trial.user_attrs[SIGNATURE] for trial in self.trials() if SIGNATURE in trial.user_attrs}

    def num_open(self, num_trials: int) -> int:
        """How many of so many trials are still to be drawn; those that wait to be tried again are."""
        waiting = self._states().WAITING
        return num_trials - sum(bool(trial.state != waiting) for trial in self.trials())

    def _is_lost(self, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get(OWNER)
        if owner is None:
            return trial.datetime_start is None or datetime.now() - trial.datetime_start > STARTING
        lock = self.folder / f"{owner}.lock"
        if owner == self.owner or not lock.exists():
            return bool(owner != self.owner)
        try:
            with locked(lock, waits=False):
                return True
        except TimeoutError:
            return False

    @staticmethod
    def _states() -> Any:
        from optuna.trial import TrialState

        return TrialState


@contextlib.contextmanager
def open_study(output: Path, identity: Mapping[str, Sequence[str]], seed: int) -> Iterator[SharedStudy]:
    """The study in an output folder, which is begun or gone on with, for one process.

    Args:
        output: Folder of the runs.
        identity: What has to agree to go on: the space, what all runs have in common, and the budget, as they are
            typed.
        seed: Of the draws.

    Raises:
        DataError: If the folder holds a study of another space, which the message compares, or a damaged one, or
            cannot be written.
        MissingDependencyError: If Optuna is not installed.
    """
    require_package("efficient-sed search", "optuna", "search")
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = output / FOLDER
    journal = folder / JOURNAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _mend_journal(journal)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        study = optuna.create_study(
            storage=storage, study_name=NAME, directions=["maximize", "minimize"], load_if_exists=True, sampler=sampler
        )
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); give output_dir=DIR") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{journal}: damaged ({error}); delete {folder}, and runs that are there count again"
        ) from error
    shared = SharedStudy(study, folder)
    _check_identity(shared, {key: list(values) for key, values in identity.items()})
    with locked(folder / f"{shared.owner}.lock"):
        yield shared


def _mend_journal(journal: Path) -> None:
    """Remove a last line that a killed process left cut; a ValueError for another line that is no entry."""
    from optuna.storages.journal import JournalFileSymlinkLock

    if not journal.exists():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        content = journal.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            json.loads(line)
        if whole and whole != content:
            os.truncate(journal, len(whole))  # Optuna would write behind it
    finally:
        lock.release()
    if content and not whole:
        raise ValueError("it holds no whole line")


def _check_identity(shared: SharedStudy, identity: Mapping[str, list[str]]) -> None:
    stored = shared.study.user_attrs.get("identity")
    if stored is None or not shared.trials():  # nothing was begun that the space or the budget decided
        shared.study.set_user_attr("identity", dict(identity))
        return
    for key, own in identity.items():
        before = stored.get(key, [])
        if sorted(own) != sorted(before):
            lines = {True: [line for line in before if line not in own], False: [x for x in own if x not in before]}
            there, here = (" ".join(lines[is_there]) or "nothing" for is_there in (True, False))
            advice = "go on with that, or give another output_dir=DIR"
            raise DataError(f"{shared.folder}: holds a study of another {key}: {there} there, {here} here; {advice}")
