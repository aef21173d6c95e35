"""What every option means, read from the text under its field in the source of its config class."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from efficient_sed.config.parse import GROUPS
from efficient_sed.config.run import RunConfig

WIDTH = 100


class OptionDoc(NamedTuple):
    """An option of a run.

    Attributes:
        key: As it is typed, such as "train.epochs".
        type: As the source has it, such as "int | None".
        default: As it is typed, such as "null"; empty where a value has to be given.
        description: The text under the field; empty where there is none.
        owners: Names of the components that have it, such as ("gru", "tf"); empty for an option of every run.
    """

    key: str
    type: str
    default: str
    description: str
    owners: tuple[str, ...] = ()


def option_docs() -> list[OptionDoc]:
    """Every option of a run, and of every registered backbone, sequence head and data set, in the order of the source.

    An option that components define differently is listed once for each definition. Imports all components.
    """
    docs = [doc for doc in _walk(RunConfig, "") if doc.key not in GROUPS]
    for group, registry in GROUPS.items():
        found: dict[OptionDoc, list[str]] = {}
        for name in registry.names():
            for doc in _walk(registry.get(name), f"{group}."):
                found.setdefault(doc, []).append(name)
        docs += [doc._replace(owners=tuple(owners)) for doc, owners in found.items()]
    return docs


def commented_yaml(config: RunConfig) -> str:
    """A configuration as YAML with a comment above every key that says what it means."""
    return "\n".join(_yaml_lines(config, ""))


def changed_options(config: Any, prefix: str = "") -> Iterator[str]:
    """The `key=value` that make a configuration from the defaults of the components that it names."""
    for item in dataclasses.fields(config):
        key, value = f"{prefix}{item.name}", getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            if item.default_factory is dataclasses.MISSING and hasattr(value, "name"):
                yield f"{key}={value.name}"
            yield from changed_options(value, f"{key}.")
        elif _typed(value) != _default(item):
            yield f"{key}={_typed(value)}"


def _walk(cls: type[Any], prefix: str) -> Iterator[OptionDoc]:
    """The options of a config class and of the groups inside it."""
    texts = field_docs(cls)
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(item.default_factory):
            yield from _walk(item.default_factory, f"{prefix}{item.name}.")
        else:
            kind, description = texts[item.name]
            yield OptionDoc(f"{prefix}{item.name}", kind, _default(item), description)


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is not dataclasses.MISSING:
        return _typed(item.default)
    return "" if item.default_factory is dataclasses.MISSING else _typed(item.default_factory())


def _typed(value: Any) -> str:
    """A value on one line of YAML, which `key=value` takes as well."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_typed, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_typed(key)}: {_typed(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        text: str = yaml.safe_dump(value, allow_unicode=True, width=10**9).splitlines()[0]
        return text
    return json.dumps(value)


def field_docs(cls: type[Any]) -> dict[str, tuple[str, str]]:
    """Type and description of the fields of a config class by name; those of base classes are included."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(cls.__mro__):
        if "__dataclass_fields__" not in vars(base):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = node.body if isinstance(node, ast.ClassDef) else []
        for statement, below in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                name, text = statement.target.id, ""
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    text = inspect.cleandoc(str(below.value.value))
                elif name in found:  # a subclass that only changes the default
                    text = found[name][1]
                found[name] = (ast.unparse(statement.annotation), text)
    return found


def _yaml_lines(config: Any, indent: str) -> Iterator[str]:
    texts = field_docs(type(config))
    if hasattr(config, "name"):
        yield f"{indent}name: {_typed(config.name)}"
    for item in dataclasses.fields(config):
        value, text = getattr(config, item.name), texts[item.name][1]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            text = text or inspect.cleandoc(type(value).__doc__ or "").split("\n")[0]
        start = f"{indent}# "
        for paragraph in " ".join(text.split("\n")).split("  "):
            yield from textwrap.wrap(paragraph, WIDTH, initial_indent=start, subsequent_indent=start)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield f"{indent}{item.name}:"
            yield from _yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{item.name}: {_typed(value)}"
