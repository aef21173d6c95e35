"""Errors cross process borders as they are."""

from __future__ import annotations

import pickle

import pytest

from efficient_sed import errors
from efficient_sed.errors import EfficientSedError, MissingDependencyError

ALL = [entry for entry in vars(errors).values() if isinstance(entry, type) and issubclass(entry, EfficientSedError)]


@pytest.mark.parametrize("entry", ALL)
def test_errors_can_leave_a_process(entry: type[EfficientSedError]) -> None:
    error = (
        MissingDependencyError("this", "package", "extra") if entry is MissingDependencyError else entry("a message")
    )
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), vars(copied)) == (entry, str(error), vars(error))
    assert len(ALL) >= 5
