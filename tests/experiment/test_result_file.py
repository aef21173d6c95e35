"""A result that is read holds all that tables, plots and pages need; any other is refused with its name."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from result_files import make_result

from efficient_sed.benchmark.speed import unmeasured
from efficient_sed.cli.tables import result_table
from efficient_sed.errors import DataError
from efficient_sed.experiment.result_file import read_result, write_result
from efficient_sed.files.pages import to_script_json
from efficient_sed.frontier.html import page_data
from efficient_sed.frontier.points import run_points
from efficient_sed.frontier.runs import read_results

LEAVES: list[Any] = [None, "x", [], [1, 2], -1, 0, float("inf"), float("nan"), {}, {"a": 1}]


@pytest.mark.parametrize("task", ["detection", "tagging"])
def test_any_spoiled_leaf_is_told_or_harmless(task: str, tmp_path: Path) -> None:
    """Each value of a result is replaced by each of some others, or deleted.

    What is read is then drawn, the rest names the file.
    """
    scores = (
        {"map": 0.3, "variant": {"metric": "map"}, "coverage": {"clips_scored": 16}}
        if task == "tagging"
        else make_result()["metrics"]
    )
    whole = make_result(task=task, metrics=scores)
    whole["complexity"]["throughput"]["mode"] = "fused"
    whole["complexity"] |= {"speed_environment": make_result()["environment"], "peak_memory_of": "whole process"}
    (tmp_path / "result.json").write_text(
        json.dumps(whole | {"complexity": whole["complexity"] | unmeasured("failed")}), encoding="utf-8"
    )
    assert (read_result(tmp_path) or whole)["complexity"]["throughput"] is None
    num_refused = 0
    for path in _leaves(whole):
        for leaf in [*LEAVES, _leaves]:
            result = json.loads(json.dumps(whole))
            *parents, last = path
            place = result
            for key in parents:
                place = place[key]
            if leaf is _leaves:
                del place[last]
            else:
                place[last] = leaf
            (tmp_path / "result.json").write_text(json.dumps(result), encoding="utf-8")
            try:
                read = read_result(tmp_path)
            except DataError:
                num_refused += 1
                continue
            assert read is not None
            result_table([read])
            run_points(read_results([tmp_path]))
            to_script_json(page_data([(tmp_path, read)]))
    assert num_refused > 100


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [path] * bool(path) + [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    return [path]


def test_what_json_cannot_say_is_null(tmp_path: Path) -> None:
    write_result(tmp_path, make_result() | {"extra": [float("inf"), {"a": float("nan")}]})
    read = read_result(tmp_path)
    assert read is not None
    assert read["extra"] == [None, {"a": None}]


def test_a_result_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever deletes it loses a run."""
    (tmp_path / "result.json").write_text("{}")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(DataError, match=r"result\.json: cannot be read \(Permission denied\); make it readable$"):
        read_result(tmp_path)
