"""The documentation builds without a warning, and the generated pages hold what the code has."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs_pages import ROOT

from efficient_sed.config.run import RunConfig
from efficient_sed.registry import BACKBONES, DATASETS, SEQUENCE_HEADS

pytest.importorskip("mkdocstrings", reason="mkdocs is not installed; pip install 'efficient-sed[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / name / "index.html").read_text(encoding="utf-8")


def option_keys(cls: type[Any], prefix: str) -> Iterator[str]:
    """Keys of a run, without those of the parts that are chosen by name."""
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(item.default_factory):
            yield from option_keys(item.default_factory, f"{prefix}{item.name}.")
        elif item.name not in ("backbone", "seq", "data"):
            yield f"{prefix}{item.name}"


@pytest.mark.slow
def test_options_are_all_there(site: Path) -> None:
    text = page(site, "reference/options")
    keys = list(option_keys(RunConfig, ""))
    assert len(keys) >= 70
    for key in keys:
        assert f"<code>{key}</code>" in text, key
    for key, registry in {"backbone": BACKBONES, "seq": SEQUENCE_HEADS, "data": DATASETS}.items():
        for name in registry.names():
            assert f"<code>{name}</code>" in text, f"{key}={name}"
    assert "Clips in one forward pass" in text  # from the string below the field
    assert "<code>launcher.partition</code>" in text


@pytest.mark.slow
def test_commands_are_all_there(site: Path) -> None:
    text = page(site, "reference/commands")
    for command in ("train", "sweep", "evaluate", "compare", "benchmark", "plot", "detect", "listen", "data", "export"):
        assert f'<h2 id="{command}">' in text
    assert "--threshold THRESHOLD" in text


@pytest.mark.slow
def test_nothing_is_fetched(site: Path) -> None:
    """No page takes a font, script, style or picture from elsewhere."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 40
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for mark in ('src="http', '<link rel="stylesheet" href="http', "fonts.g", "cdn."):
            assert mark not in text, f"{path}: {mark}"
