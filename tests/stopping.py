"""Stops a training of this process, as a cluster does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from efficient_sed.errors import PreemptedError
from efficient_sed.training.progress import ProgressFile


@contextmanager
def stopped_at(batch: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send SIGTERM at the begin of a batch, counted from 1 over all epochs; the training must end as preempted."""
    batches = 0

    def terminate(*_: object) -> None:
        nonlocal batches
        batches += 1
        if batches == batch:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(ProgressFile, "on_train_batch_start", terminate, raising=False)
        with pytest.raises(PreemptedError):
            yield
