"""Listing and walking folders."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from efficient_sed.errors import DataError
from efficient_sed.files import folders
from efficient_sed.files.folders import check_free_space, list_folder, walk_files


def test_list_is_sorted_and_a_missing_folder_named(tmp_path: Path) -> None:
    for name in "bca":
        (tmp_path / name).touch()
    assert [path.name for path in list_folder(tmp_path)] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"none: cannot be read \(No such file or directory\)$"):
        list_folder(tmp_path / "none")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_each_file_is_found_once_under_its_own_name(tmp_path: Path) -> None:
    for name in ("real/a", "real/deep/b", ".hidden/c", "lost+found/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "again").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    outside = tmp_path.parent / f"{tmp_path.name}_outside"
    outside.mkdir()
    (outside / "e").touch()
    (tmp_path / "link").symlink_to(outside)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in walk_files(tmp_path))
    assert found == ["link/e", "real/a", "real/deep/b"]


def test_unreadable_folders_are_reported(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(walk_files(tmp_path / "none", errors.append)) == []
    assert len(errors) == 1
    with pytest.raises(FileNotFoundError):
        list(walk_files(tmp_path / "none"))


def test_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000_000))
    check_free_space(tmp_path / "a", 2_000_000_000)
    with pytest.raises(OSError, match=r"it needs 3 GB, .* has 2 GB free"):
        check_free_space(tmp_path / "a", 3_000_000_000)
