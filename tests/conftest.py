"""What several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from efficient_sed.data.events import Splits
from efficient_sed.data.synthetic import SyntheticConfig
from efficient_sed.models import _cards

settings.register_profile("suite", deadline=None)  # speed is measured in benchmarks/, never asserted here
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _empty_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the weights of whoever runs it, or fetches any."""

    def refuse(url: str, path: Path) -> NoReturn:
        raise AssertionError(f"a test would download {url} to {path}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFICIENT_SED_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(_cards, "download", refuse)
        yield


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> SyntheticConfig:
    """Settings of a generated data set of 16 scenes of 3 s."""
    return SyntheticConfig(root=str(tmp_path_factory.mktemp("datasets")), num_train=8, num_validation=4, num_test=4, scene_seconds=3.0, clip_seconds=3, num_workers=0)


@pytest.fixture(scope="session")
def tiny_data(tiny_config: SyntheticConfig) -> Splits:
    """The data set itself."""
    return tiny_config.load()
