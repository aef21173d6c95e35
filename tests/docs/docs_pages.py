"""What the documentation shows: its code blocks, the commands in them, and the output below them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TUTORIALS = [
    ROOT / "docs" / "tutorials" / f"{name}.md"
    for name in ("first-run", "own-recordings", "small-board", "web-page", "active-learning", "isolated-sounds")
]
WRITTEN = [README, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(efficient-sed [a-z][^`]*)`(?!`)")


class Block(NamedTuple):
    """A fenced block: its language, what else stands behind that, its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def shell_lines(text: str) -> list[str]:
    """The commands of a block, without the comments behind them."""
    text = re.sub(r"\\\n\s*", "", text)  # a line that goes on
    return [line for raw in text.splitlines() if (line := re.sub(r"\s+# .*", "", raw).strip())]


def commands(page: Path) -> Iterator[str]:
    """Every command of ours on a page, inside text and in blocks; not what a message or usage shows."""
    yield from _INLINE.findall(page.read_text(encoding="utf-8"))
    for block in blocks(page):
        if block.language in ("sh", "text"):
            lines = (part for line in shell_lines(block.text) for part in line.split(" | "))
            yield from (line for line in lines if line.startswith("efficient-sed "))


def shown_words(line: str) -> list[str]:
    """The words of an output, with every number as #: what does not depend on the machine."""
    return [re.sub(r"\d[\d.,]*", "#", word) for word in re.findall(r"[^\s│┃]+", line) if word != "…"]


def is_shown(line: str, output: str) -> bool:
    """Whether some line of the output has these words in this order; it may have more columns."""
    for candidate in output.splitlines():
        words = iter(shown_words(candidate))
        if all(word in words for word in shown_words(line)):
            return True
    return False
