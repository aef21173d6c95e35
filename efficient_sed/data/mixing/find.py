"""Isolated sounds in folders: one folder a class, or the table of classes that ESC-50 is published with."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.audio.io import find_audio
from efficient_sed.data.annotations.tables import DELIMITERS, read_table, read_text, split_rows
from efficient_sed.data.labels import alike_problem, label_problem
from efficient_sed.data.spelling import FolderNames, canonical, check_spellings, is_below
from efficient_sed.errors import DataError, nearest
from efficient_sed.files.folders import list_folder

logger = logging.getLogger(__name__)
FOREGROUND, BACKGROUND, NEGATIVES = ROLES = ("foreground", "background", "negatives")
TABLE_COLUMNS = ("filename", "category")
GROUP_COLUMNS = ("src_file", "fold")
"""Of such a table: recordings with the same value stay in one part; the first that is there counts."""
MAX_HEADER = 4096
AUDIO, META = "audio", "meta"
"""Folders of the files that a table lists, and of the table."""


class FoundSound(NamedTuple):
    """A file with one sound."""

    path: Path
    name: str
    """Relative to the folder that was given."""
    label: str
    """Empty for sounds without one."""
    group: str
    """Recordings of one group stay in one part."""
    digest: str = ""
    """SHA-256 of its content."""


def find_labelled(key: str, folder: Path, classes: Sequence[str] | None) -> list[FoundSound]:
    """Sounds by class: `folder`/LABEL/*, or the rows of a table `filename,category` beside a folder audio/.

    Args:
        key: Option that named the folder, for messages.
        folder: Where to look.
        classes: Those that are used; default None, all.

    Raises:
        DataError: If there is none of both, a class has no file, or two classes differ in case or accents alone.
    """
    _check_folder(key, folder)
    table = _find_table(key, folder)
    found = _of_folders(key, folder, classes) if table is None else _of_table(key, folder, *table)
    labels = sorted({sound.label for sound in found})
    _check_labels(folder, labels)
    for label in classes or ():
        if label not in labels:
            raise DataError(f"{key}={folder}: has no class {label!r}; {nearest(label, labels)}")
    if classes is not None and (others := [label for label in labels if label not in classes]):
        logger.info("%s=%s: classes that are not in data.classes are left out: %s", key, folder, ", ".join(others))
        found = [sound for sound in found if sound.label in classes]
    return found


def find_unlabelled(key: str, folder: Path) -> list[FoundSound]:
    """All audio files below a folder; arguments and errors as for `find_labelled`."""
    _check_folder(key, folder)
    paths = find_audio(folder)
    if not paths:
        raise DataError(f"{key}={folder}: holds no audio file")
    names = [path.relative_to(folder).as_posix() for path in paths]
    check_spellings(names, f"{folder}: ")
    return [FoundSound(path, canonical(name), "", name) for path, name in zip(paths, names, strict=True)]


def with_digests(found: Sequence[FoundSound], num_workers: int) -> list[FoundSound]:
    """The same sounds with the hash of their content.

    Raises:
        DataError: If a file cannot be read.
    """

    def digest(sound: FoundSound) -> FoundSound:
        try:
            with sound.path.open("rb") as file:
                return sound._replace(digest=hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise DataError(f"{sound.path}: cannot be read ({error.strerror})") from error

    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:
        return list(pool.map(digest, found))


def _check_folder(key: str, folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{key}={folder}: no such directory; give a folder of sounds as {key}=DIR")


def _of_folders(key: str, folder: Path, classes: Sequence[str] | None) -> list[FoundSound]:
    children = [child for child in list_folder(folder) if child.is_dir() and not child.name.startswith(".")]
    check_spellings((child.name for child in children), f"{folder}: ")
    if {child.name for child in children} - {META} == {AUDIO} and (tables := _tables(folder)):
        lacks = f"{tables[0]} has no columns {' and '.join(TABLE_COLUMNS)}"
        raise DataError(f"{key}={folder}: {lacks}, which name the class of each file in {AUDIO}/; rename them so")
    beside = [path for path in list_folder(folder) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    found = []
    for child in children:
        label = canonical(child.name)
        if classes is not None and label not in classes:
            found.append(FoundSound(child, child.name, label, ""))  # named in a log, never read
            continue
        paths = find_audio(child)
        if not paths:
            others = ",".join(sorted(canonical(other.name) for other in children if other != child))
            advice = "add sounds, remove it" + (f", or name the classes as data.classes=[{others}]" if others else "")
            raise DataError(f"{child}: a class folder without an audio file; {advice}")
        names = [path.relative_to(folder).as_posix() for path in paths]
        check_spellings(names, f"{folder}: ")
        found += [FoundSound(path, canonical(name), label, name) for path, name in zip(paths, names, strict=True)]
    if not found:
        files = len(find_audio(folder))
        has = f"holds {files} audio files and no class folders" if files else "holds no sounds"
        raise DataError(
            f"{key}={folder}: {has}; put the sounds of each class into a folder of its name, {folder}/LABEL/"
        )
    _log_left_out(key, folder, beside, "beside the class folders")
    return found


def _tables(folder: Path) -> list[Path]:
    return [path for place in (folder, folder / META) for path in sorted(place.glob("*.csv"))]


def _find_table(key: str, folder: Path) -> tuple[Path, str] | None:
    """A table of file names and classes, recognised by its header, and what separates its fields."""
    for path in _tables(folder):
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(MAX_HEADER)
        for delimiter in DELIMITERS:
            if set(TABLE_COLUMNS) <= set(next((header for _, header in split_rows([line], delimiter)), [])):
                return path, delimiter
        logger.info("%s=%s: %s has no columns %s: not used", key, folder, path, " and ".join(TABLE_COLUMNS))
    return None


def _of_table(key: str, folder: Path, table: Path, delimiter: str) -> list[FoundSound]:
    places = [place for place in (folder / AUDIO, table.parent / AUDIO, table.parent) if place.is_dir()]
    names, found, seen = FolderNames(places[0]), [], set()
    for where, row in read_table(table, read_text(table), TABLE_COLUMNS, delimiter=delimiter):
        if not is_below(row["filename"]):
            raise DataError(f"{where}: {row['filename']} is not below {places[0]}, which file names are relative to")
        path = names.path(row["filename"])
        if not path.is_file():
            raise DataError(f"{where}: {path}: no such audio file")
        if path in seen:
            raise DataError(f"{where}: {row['filename']} is listed a second time")
        seen.add(path)
        name = path.relative_to(folder).as_posix()
        column = next((column for column in GROUP_COLUMNS if row.get(column)), None)
        group = name if column is None else f"{column} {row[column]}"
        found.append(FoundSound(path, canonical(name), canonical(row["category"].strip()), group))
    if not found:
        raise DataError(f"{key}={folder}: {table} lists no sounds")
    logger.info("%s=%s: %d sounds as %s lists them", key, folder, len(found), table)
    _log_left_out(key, folder, [path for path in find_audio(folder) if path not in seen], f"not in {table}")
    return found


def _log_left_out(key: str, folder: Path, paths: Sequence[Path], why: str) -> None:
    if paths:
        first = paths[0].relative_to(folder)
        logger.warning("%s=%s: audio files %s are left out: %d, such as %s", key, folder, why, len(paths), first)


def _check_labels(folder: Path, labels: Sequence[str]) -> None:
    if problem := label_problem(labels):
        raise DataError(f"{folder}: {problem}")
    if alike := alike_problem(labels):
        raise DataError(f"{folder}: {alike}; put their sounds together, or rename one")
