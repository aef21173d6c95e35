"""What the documentation names exists: commands, options, Make targets, Python names, files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from docs_pages import README, ROOT, WRITTEN, blocks, commands

import efficient_sed as es
from efficient_sed.cli.main import build_parser, parse
from efficient_sed.experiment.compose import compose_run
from efficient_sed.inference.header import EXACT
from efficient_sed.registry import EXPORT_TARGETS

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in WRITTEN}
ADDED = re.compile(r"seq=average|data=birds")  # parts that test_docs_python.py adds
COMMANDS = sorted({command for page in WRITTEN for command in commands(page)})


def test_how_many_were_seen() -> None:
    assert len(COMMANDS) >= 80
    assert len(WRITTEN) >= 30


@pytest.mark.parametrize("command", [command for command in COMMANDS if not ADDED.search(command)])
def test_command_parses(command: str) -> None:
    """It has only options that exist, and makes a valid configuration; of a grid the first point stands for all."""
    words = shlex.split(command.partition(" > ")[0])[1:]
    if len(words) == 1:
        words.append("--help")
    if {"--help", "--version"} & set(words):
        with pytest.raises(SystemExit, match=r"^0$"):
            build_parser().parse_args(words if words[0] != "COMMAND" else words[1:])
        return
    options = parse(words)
    overrides = [item for item in getattr(options, "overrides", getattr(options, "words", [])) if "=" in item]
    if words[0] in ("sweep", "search"):
        overrides = first_point(overrides)
    if overrides:
        compose_run(overrides)


def first_point(overrides: list[str]) -> list[str]:
    """One point of a grid; grids of `configs/sweep` are tested as a whole in test_configs.py."""
    kept = []
    for key, _, value in (item.partition("=") for item in overrides):
        if key == "sweep":
            assert (ROOT / "configs" / "sweep" / f"{value}.yaml").is_file(), value
        elif key not in ("seeds", "folds") and not key.startswith("launcher."):
            kept.append(f"{key}={value if value.startswith('[') else value.split(',')[0]}")
    return kept


def test_make_targets_and_variables_exist() -> None:
    text = "\n".join(TEXTS.values())
    targets = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )?make ([a-z][a-z-]+)", text, re.MULTILINE))
    assert {"sweep", "smoke", "test", "docs", "check", "pictures"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    for variable in ("BACKBONE", "SEQ", "HIDDEN", "DATA", "PRESET", "LAUNCHER", "ARGS", "PYTHON"):
        assert re.search(rf"\b{variable}\b", text), variable
        assert re.search(rf"^{variable} +\?=", MAKEFILE, re.MULTILINE), variable


@pytest.mark.parametrize("page", TEXTS)
def test_public_names_exist(page: str) -> None:
    for name in set(re.findall(r"\bes\.(\w+)\b", TEXTS[page])):
        assert hasattr(es, name), name


@pytest.mark.parametrize("page", TEXTS)
def test_files_exist(page: str) -> None:
    folders = r"(?:efficient_sed|configs|benchmarks|pretrained|tests|docs|\.ci)"
    for path in re.findall(rf"`({folders}/[\w./*-]*)`", TEXTS[page]):
        assert (
            (ROOT / path).exists() or path.endswith("/average.py") or path == "efficient_sed/models/sequence/NAME.py"
        ), path


@pytest.mark.parametrize("page", TEXTS)
def test_links_to_files_lead_somewhere(page: str) -> None:
    """In a checkout, where nothing is generated; `make docs` holds those of the site."""
    generated = r"(reference/(options|presets|commands)|reference/api/\w+|project/\w+|tutorials/notebook)\.md$"
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXTS[page]):
        if not link.startswith("http") and not re.search(
            generated, (ROOT / page).parent.joinpath(link).resolve().as_posix()
        ):
            assert ((ROOT / page).parent / link).exists(), link


def test_formats_and_precisions_are_all_told() -> None:
    (row,) = [line for line in TEXTS["README.md"].splitlines() if line.startswith("| export |")]
    assert [name for name in EXPORT_TARGETS.names() if name not in row.lower()] == []
    begin = TEXTS["docs/tutorials/small-board.md"].partition("| precision |")[2]
    named = re.findall(r"^\| `([\w-]+)` \|", begin.partition("\n\n")[0], re.MULTILINE)
    assert [EXACT, *named] == list(EXPORT_TARGETS.get("onnx").precisions)


def test_readme_is_short() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 100
    assert re.search(r"^make sweep SEQ=tf HIDDEN=256\b", "\n".join(lines), re.MULTILINE)
    assert re.search(r"^make test\b", "\n".join(lines), re.MULTILINE)
    assert sum(line.startswith("![") for line in lines[:20]) == 1


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    assert len(pictures) >= 6
    gallery = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    for picture in pictures:
        assert picture.stat().st_size < 150_000, picture
        assert f"pictures/{picture.name})" in gallery, picture


def test_python_blocks_compile() -> None:
    count = 0
    for page in WRITTEN:
        for block in blocks(page):
            if block.language == "python":
                compile(block.text, f"{Path(page).name}", "exec")
                count += 1
    assert count >= 4
