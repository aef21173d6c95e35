"""A name means one thing; an unknown one says what was probably meant."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from adding import added

from efficient_sed.errors import ConfigError
from efficient_sed.registry import BACKBONES, DATASETS, SEQUENCE_HEADS, Registry


class First: ...


class Second: ...


def test_a_name_is_taken_once() -> None:
    registry: Registry[object] = Registry("sequence head", "efficient_sed.models.sequence")
    registry.register("mine")(First)
    with pytest.raises(ValueError, match=r"sequence head 'mine' is registered twice: .*First.*Second"):
        registry.register("mine")(Second)
    assert registry.get("mine") is First
    assert First.name == "mine"  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Family:
    name: ClassVar[str]
    width: ClassVar[float]
    depth: int = 2


def test_a_family_is_one_table() -> None:
    registry: Registry[Family] = Registry("backbone", "efficient_sed.models.backbones")
    assert registry.register_family({"thin": {"width": 0.5}, "wide": {"width": 2.0}})(Family) is Family
    thin, wide = registry.get("thin"), registry.get("wide")
    assert (thin.name, thin.width, wide.name, wide.width) == ("thin", 0.5, "wide", 2.0)
    assert thin(3) == thin(depth=3) != wide(3)
    assert pickle.loads(pickle.dumps(thin(3))) == thin(3)
    with pytest.raises(ValueError, match="backbone 'wide' is registered twice"):
        registry.register_family({"wide": {}})(Family)


@pytest.mark.parametrize("source", ["class Broken(:\n", "1 / 0\n"])
def test_a_module_with_a_mistake_is_named(tmp_path: Path, source: str) -> None:
    with (
        added(SEQUENCE_HEADS, tmp_path, "broken", source),
        pytest.raises(ConfigError, match=r"broken\.py: cannot be imported \((Syntax|ZeroDivision)Error: .*"),
    ):
        SEQUENCE_HEADS.names()


def test_an_entry_is_found_however_it_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "parts_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "plain.py").write_text(
        "from efficient_sed.registry import TEACHERS\n@TEACHERS.register('plain')\nclass Plain: ...\n"
    )
    (package / "called.py").write_text(
        "from efficient_sed import registry\nadd = registry.TEACHERS.register\n"
        "add (name='called')(type('Called', (), {}))\n"
    )
    (package / "_costly.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry[object] = Registry("part", package.name)
    monkeypatch.setattr("efficient_sed.registry.TEACHERS", registry)
    assert registry.names() == ["called", "plain"]


@pytest.mark.parametrize(
    ("registry", "name", "message"),
    [
        (
            BACKBONES,
            "fmn03",
            r"unknown backbone 'fmn03'; did you mean 'fmn\d\d'\? allowed: \d\d names, such as ('fmn\d\d'(, )?){3}",
        ),
        (SEQUENCE_HEADS, "tff", r"unknown sequence head 'tff'; did you mean 'tf'\? allowed: .*gru, .*none, .*tf"),
        (SEQUENCE_HEADS, "", r"unknown sequence head ''; allowed: "),
        (SEQUENCE_HEADS, "TF", r"unknown sequence head 'TF'; .*allowed: "),
        (
            DATASETS,
            "synthetics",
            r"unknown data set 'synthetics'; did you mean 'synthetic'\? allowed: .*folder, .*synthetic",
        ),
    ],
)
def test_unknown_names(registry: Registry[object], name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        registry.get(name)


@pytest.mark.parametrize("registry", [BACKBONES, SEQUENCE_HEADS, DATASETS], ids=lambda registry: registry.kind)
def test_an_entry_knows_its_name(registry: Registry[object]) -> None:
    names = registry.names()
    assert len(names) >= 2
    assert names == sorted(names)
    assert [registry.get(name).name for name in names] == names  # type: ignore[attr-defined]
