"""MkDocs hook: makes the reference pages from the code, so that they cannot differ from it.

Options come from the configuration dataclasses and the strings below their fields, commands from the argument parser,
API pages from the modules that exist. A page written by hand may hold `<!-- generated: NAME -->`, which is replaced by
the table that NAME stands for.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Union

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import efficient_sed
from efficient_sed.cli.main import build_parser
from efficient_sed.config.describe import field_docs
from efficient_sed.config.parse import COMPONENTS, GROUPS
from efficient_sed.config.run import RunConfig
from efficient_sed.experiment.benchmark_csv import BENCHMARK_COLUMNS, read_benchmark_csv
from efficient_sed.files.packaged import resource_folder
from efficient_sed.registry import BACKBONES, DATASETS, LAUNCHERS, SEQUENCE_HEADS, Registry

ROOT = Path(__file__).parents[1]
PLACE = re.compile(r"<!-- generated: ([\w-]+) -->")
PROJECT = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md", "benchmarks": "benchmarks/README.md"}


# --- MkDocs calls these three ---


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the API page of every folder into the navigation."""
    (reference,) = (item["Reference"] for item in config.nav if "Reference" in item)
    (api,) = (item["API"] for item in reference if isinstance(item, dict) and "API" in item)
    api += [{room: f"reference/api/{room}.md"} for room in rooms()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"reference/options.md": options_page(), "reference/presets.md": presets_page()}
    pages |= {"reference/commands.md": commands_page(), **api_pages()}
    pages |= {f"project/{name}.md": project_page(ROOT / path) for name, path in PROJECT.items()}
    pages["tutorials/notebook.md"] = notebook_page(ROOT / "docs/tutorials/notebook.ipynb")
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for picture in sorted((ROOT / "benchmarks" / "figures").glob("*.png")):
        files.append(File.generated(config, f"project/figures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the tables that a page written by hand asks for."""
    return PLACE.sub(lambda found: TABLES[found[1]](), markdown)


# --- options ---


def options_page() -> str:
    """Every key of a run and of a sweep's launcher."""
    lines = [
        "# Options",
        "Every option is `key=value`. This page is generated from the configuration dataclasses; "
        "`efficient-sed train --show-config` prints the values of one run. A value of several names is written "
        "`[a,b]`, no value `null`. A sweep takes comma lists of alternatives: `seq=tf,gru`.",
        "## A run",
        option_table(RunConfig, ""),
    ]
    hints = typing.get_type_hints(RunConfig)
    for item in dataclasses.fields(RunConfig):
        hint = hints[item.name]
        if hint in COMPONENTS:
            lines += component_section(item.name, hint, COMPONENTS[hint])
        elif dataclasses.is_dataclass(hint):
            lines += group_section(item.name, typing.cast(type, hint))
    lines += ["## `launcher`", "Where a sweep carries out its runs: `efficient-sed sweep --launcher NAME`."]
    for name in LAUNCHERS.names():
        launcher = LAUNCHERS.get(name)
        lines += [f"### `--launcher {name}`", summary(launcher), option_table(launcher, "launcher.")]
    return "\n\n".join(lines) + "\n"


def component_section(key: str, base: type, registry: Registry[Any]) -> list[str]:
    """A group whose `key=NAME` chooses a registered part: common keys, then those of each part."""
    lines = [f"## `{key}`", summary(base), f"`{key}=NAME`: {', '.join(f'`{name}`' for name in registry.names())}."]
    if common := own_fields(base):
        lines += [option_table(base, f"{key}.", common)]
    for members in same_fields(registry, base):
        fields = own_fields(registry.get(members[0]), base)
        if fields:
            title = " ".join(f"`{key}={name}`" for name in members)
            about = summary(registry.get(members[0])) if len(members) == 1 else ""
            lines += [f"### {title}", about, option_table(registry.get(members[0]), f"{key}.", fields)]
    return [line for line in lines if line]


def same_fields(registry: Registry[Any], base: type) -> list[list[str]]:
    """Names of parts, together where they have the same keys with the same defaults and descriptions."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in registry.names():
        entry = registry.get(name)
        rows = tuple((f.name, default_text(f), describe(entry, f.name)) for f in own_fields(entry, base))
        groups.setdefault(rows, []).append(name)
    return list(groups.values())


def group_section(key: str, cls: type) -> list[str]:
    """A group of keys, and the groups inside it."""
    lines = [f"## `{key}`", summary(cls), option_table(cls, f"{key}.")]
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            lines += group_section(f"{key}.{item.name}", hints[item.name])
    return lines


def own_fields(cls: type, base: type | None = None) -> list[dataclasses.Field[Any]]:
    """Fields that `base` lacks, or has with another default."""
    known = {f.name: default_text(f) for f in dataclasses.fields(base)} if base else {}
    return [f for f in dataclasses.fields(cls) if known.get(f.name) != default_text(f)]


def option_table(cls: type, prefix: str, fields: list[dataclasses.Field[Any]] | None = None) -> str:
    """A row for each key that holds a value."""
    rows = list(option_rows(cls, prefix, dataclasses.fields(cls) if fields is None else fields))
    return table(("key", "value", "default", ""), rows) if rows else "No keys of its own."


def option_rows(cls: type, prefix: str, fields: Iterable[dataclasses.Field[Any]]) -> Iterator[tuple[str, ...]]:
    """Key, type, default and text of fields; groups of a run have sections of their own, those of parts have not."""
    hints = typing.get_type_hints(cls)
    for item in fields:
        hint, key = hints[item.name], f"{prefix}{item.name}"
        if dataclasses.is_dataclass(hint) and prefix.split(".", maxsplit=1)[0] in GROUPS and hint not in COMPONENTS:
            yield from option_rows(typing.cast(type, hint), f"{key}.", dataclasses.fields(hint))
        elif not dataclasses.is_dataclass(hint) and hint not in COMPONENTS:
            yield f"`{key}`", type_text(hint), default_text(item), describe(cls, item.name)


def type_text(hint: Any) -> str:
    """A type in the words of someone who types a value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("`null`" if value is type(None) else type_text(value) for value in arguments)
    if origin is tuple:
        return f"list of {type_text(arguments[0])}"
    return {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}.get(hint, str(hint))


def default_text(item: dataclasses.Field[Any]) -> str:
    """A default as it would be typed."""
    if item.default is dataclasses.MISSING:
        return "" if item.default_factory is dataclasses.MISSING else "see below"
    if item.default is None:
        return "`null`"
    if isinstance(item.default, tuple):
        return f"`[{','.join(map(str, item.default))}]`"
    if isinstance(item.default, bool):
        return f"`{str(item.default).lower()}`"
    return f"`{item.default:g}`" if isinstance(item.default, float) else f"`{item.default}`"


def describe(cls: type, name: str) -> str:
    """What the source says below a field, on one line."""
    return " ".join(field_docs(cls)[name][1].split())


# --- presets ---


def presets_page() -> str:
    """The files of `configs/`, each with the comment at its head."""
    lines = [
        "# Presets",
        "`experiment=NAME` sets several options at once; what else is typed wins over it. `sweep=NAME` stands for "
        "a whole grid. The files lie in `configs/`; `efficient-sed train experiment=NAME --show-config` prints what "
        "one means.",
    ]
    for group, title in (("experiment", "## `experiment=NAME`"), ("sweep", "## `sweep=NAME`")):
        rows = [(f"`{path.stem}`", head_comment(path)) for path in sorted((ROOT / "configs" / group).glob("*.yaml"))]
        lines += [title, table(("preset", ""), rows)]
    return "\n\n".join(lines) + "\n"


def head_comment(path: Path) -> str:
    """The comment lines at the head of a preset as one text."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        text = line.removeprefix("#")
        lines.append(f"`{text.strip()}`" if text.startswith("   ") else text.strip())
    return " ".join(lines)


# --- commands ---


def commands_page() -> str:
    """Every command with all its options, as the parser has them."""
    parser = build_parser()
    lines = [
        "# Commands",
        f"{parser.description or ''} This page is generated from the parser, as is `efficient-sed COMMAND --help`. "
        "`efficient-sed --version` prints the version.",
    ]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                lines += command_section(name, command)
    return "\n\n".join(lines) + "\n"


def command_section(name: str, command: argparse.ArgumentParser) -> list[str]:
    """One command: what it does, its usage, its arguments, its examples."""
    usage = re.sub(r"\s+", " ", command.format_usage().removeprefix("usage: ")).strip()
    lines = [
        f"## `{name}`",
        command.description or "",
        "```text\n" + textwrap.fill(usage, 100, subsequent_indent="    ") + "\n```",
    ]
    rows = []
    for action in command._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        rows.append((argument_text(action), argument_help(action)))
    lines.append(table(("argument", ""), rows))
    if command.epilog:
        lines.append("```text\n" + textwrap.dedent(command.epilog).strip() + "\n```")
    return lines


def argument_text(action: argparse.Action) -> str:
    """An argument as it is typed."""
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return f"`{value}`"
    takes_value = action.nargs != 0
    return f"`{', '.join(action.option_strings)}{f' {value}' if takes_value else ''}`"


def argument_help(action: argparse.Action) -> str:
    """The help of an argument, with its default."""
    text = (action.help or "").replace("%%", "%")
    has_default = action.default not in (None, False, []) and action.default is not argparse.SUPPRESS
    return f"{text} (default: `{action.default}`)" if has_default and "default" not in text else text


# --- API ---


def api_pages() -> dict[str, str]:
    """A page for the public names, and one for each folder of the package with its public modules."""
    rows = []
    for name in sorted((name for name in efficient_sed.__all__ if not name.startswith("_")), key=str.lower):
        value = getattr(efficient_sed, name)
        about = inspect.cleandoc(value.__doc__ or "").partition("\n")[0]
        rows.append((f"[`es.{name}`][{value.__module__}.{value.__qualname__}]", about))
    about = (
        "`import efficient_sed as es` offers these names. They are stable; everything else lives in the folders below"
    )
    index = f"# API\n\n{about} and may move between versions.\n\n{table(('name', ''), rows)}\n\n{modules_table('')}\n"
    pages = {"reference/api/index.md": index}
    for room in rooms():
        modules = list(public_modules(room))
        about = "\n".join(f"- [`{name}`][{name}]: {first_line(path)}" for name, path in modules)
        blocks = "\n\n".join(module_block(name) for name, _ in modules)
        pages[f"reference/api/{room}.md"] = f"# efficient_sed.{room}\n\n{about}\n\n{blocks}\n"
    return pages


def module_block(name: str) -> str:
    """A module under its whole name, which tells modules of one name in several folders apart."""
    label = name.removeprefix("efficient_sed.")
    return f"::: {name}\n    options:\n      heading: {label}\n      toc_label: {label}"


def rooms() -> list[str]:
    """Folders and single modules of the package."""
    found = [module.name for module in pkgutil.iter_modules([str(ROOT / "efficient_sed")])]
    return sorted(name for name in found if not name.startswith("_"))


def public_modules(room: str) -> Iterator[tuple[str, Path]]:
    """Modules of a folder whose names have no underscore, with their files."""
    base = ROOT / "efficient_sed" / room
    files = [base.with_suffix(".py")] if not base.is_dir() else sorted(base.rglob("*.py"))
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not any(part.startswith("_") for part in parts):
            yield ".".join(parts), path


def first_line(path: Path) -> str:
    """The summary of a module."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


# --- pages of the repository's root, and tables inside pages written by hand ---


def project_page(path: Path) -> str:
    """A file beside the package as a page; its links to other files of the repository become names."""
    text = path.read_text(encoding="utf-8")

    def link(found: re.Match[str]) -> str:
        words, goal = found[1], found[2]
        for name, source in PROJECT.items():
            if goal.partition("#")[0].endswith(source):
                return f"[{words}]({name}.md{goal[len(goal.partition('#')[0]) :]})"
        if goal.startswith(("http", "#", "figures/")):
            return found[0]
        if (at := goal.find("docs/")) >= 0:
            return f"[{words}](../{goal[at + 5 :]})"
        return words

    return re.sub(r"(?<!!)\[([^]]+)\]\(([^)]+)\)", link, text)


def notebook_page(path: Path) -> str:
    """A notebook as a page, with a link to the file."""
    title, *cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = ["".join(title["source"]), f"[Download the notebook]({path.name})"]
    for cell in cells:
        text = "".join(cell["source"])
        language = "sh" if text.startswith("!") else "python"
        parts.append(text if cell["cell_type"] == "markdown" else f"```{language}\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def backbones_table() -> str:
    return parts_table(BACKBONES)


def heads_table() -> str:
    return parts_table(SEQUENCE_HEADS)


def data_sets_table() -> str:
    return parts_table(DATASETS)


def parts_table(registry: Registry[Any]) -> str:
    """Registered parts by the file that holds them."""
    by_module: dict[str, list[str]] = {}
    for name in registry.names():
        by_module.setdefault(registry.get(name).__module__, []).append(name)
    rows = [
        (", ".join(f"`{name}`" for name in names), module_summary(module), f"`{module.rpartition('.')[2]}.py`")
        for module, names in by_module.items()
    ]
    folder = f"{registry.package.replace('.', '/')}/"
    return f"The files lie in `{folder}`.\n\n" + table(("name", "what it is", "file"), rows)


def module_summary(module: str) -> str:
    return (importlib.import_module(module).__doc__ or "").strip().partition("\n")[0]


def released_table() -> str:
    """Every released model that a name loads."""
    rows = []
    for row in efficient_sed.list_models()["released"]:
        score = ", ".join(f"{item['metric']} {item['value']:.3f}" for item in row["scores"])
        rows.append((f"`{row['name']}`", row["task"], f"{row['params']:,}", f"{row['macs'] / 1e6:,.0f} M", score))
    return table(("name", "task", "parameters", "MACs of 10 s", "score"), rows)


def modules_table(base_url: str = "../reference/api/") -> str:
    """Every folder of the package with what it holds."""
    rows = []
    for room in rooms():
        base = ROOT / "efficient_sed" / room
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        rows.append((f"[`{room}`]({base_url}{room}.md)", first_line(path)))
    return table(("folder", "what it holds"), rows)


def registries_table() -> str:
    """Every registry: what it holds, and the folder in which a new file is found."""
    rows = []
    for path in sorted((ROOT / "efficient_sed").rglob("*.py")):
        for kind, package in re.findall(r'\bRegistry\("([^"]+)", "([^"]+)"\)', path.read_text(encoding="utf-8")):
            rows.append((kind, f"`{package.replace('.', '/')}/`"))
    return table(("a new", "is one file in"), sorted(rows))


def result_columns_table() -> str:
    """Columns of a CSV of what models cost."""
    return table(("column", "what it holds"), [(f"`{name}`", about) for name, about in BENCHMARK_COLUMNS.items()])


def results_tables() -> str:
    """A table for each such CSV that is shipped."""
    head = ("model", "parameters", "MACs", "activations", "peak", "clips/s", "ms a clip", "ms to load", "score")
    parts = []
    for path in sorted(resource_folder("results").glob("benchmark-*.csv")):
        rows = sorted(read_benchmark_csv(path), key=lambda row: int(row["macs"]))
        about = f"{rows[0]['device']}, {rows[0]['precision']}, torch {rows[0]['torch']}"
        about += ", CPU time" if rows[0]["clock"] == "cpu" else ""
        note = f"`{path.name}`, {len(rows)} models; activations in millions of elements."
        parts += [f"## {about}", note, table(head, [result_cells(row) for row in rows])]
    return "\n\n".join(parts)


def result_cells(row: dict[str, str]) -> tuple[str, ...]:
    """A row of such a table."""
    counts = (f"{float(row[key]) / 1e6:,.2f}" for key in ("activations", "activations_peak"))
    times = (f"{float(row[key]):,.1f}" for key in ("clips_per_s", "latency_ms", "load_ms"))
    score = (
        f"{row['metric']} {float(row['score']):.3f} ({row['scored_on']}, {row['score_source']})" if row["score"] else ""
    )
    return f"`{row['model']}`", f"{int(row['params']):,}", f"{int(row['macs']) / 1e6:,.0f} M", *counts, *times, score


TABLES: dict[str, Callable[[], str]] = {
    "backbones": backbones_table,
    "heads": heads_table,
    "data-sets": data_sets_table,
    "released": released_table,
    "result-columns": result_columns_table,
    "results": results_tables,
    "folders": modules_table,
    "registries": registries_table,
}


# --- Markdown ---


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table; cells are escaped."""
    lines = [head, ("---",) * len(head), *(tuple(cell(text) for text in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text that a cell can hold: no line break, no bare pipe, no markup by accident."""
    text = " ".join(text.split()).replace("|", r"\|")
    parts = text.split("`")  # even ones are outside code
    for index in range(0, len(parts), 2):
        parts[index] = parts[index].replace("<", "&lt;").replace("*", r"\*").replace("_", r"\_")
    return "`".join(parts)


def summary(cls: type) -> str:
    """The first paragraph of a class's docstring; nothing where dataclasses made one up."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    return "" if text.startswith(f"{cls.__name__}(") else text.partition("\n\n")[0].replace("\n", " ")
