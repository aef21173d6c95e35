"""One HTML file to look around in: any score against any cost, of our runs and of the published tables.

The page is our own plain JavaScript and SVG, some 40 kB, and not plotly: a page with plotly.js inside has 5 MB, which
no mail or repository takes gladly, opens slowly on a phone, and its points cannot be reached with the keyboard. Nothing
is fetched: a content security policy forbids it, and lets no script run but the page's own. Values come from the
results; `page/*.js` only draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from efficient_sed import __version__
from efficient_sed.experiment.differences import data_words
from efficient_sed.experiment.repeats import group_repeats
from efficient_sed.experiment.result_file import main_score
from efficient_sed.files.pages import write_html
from efficient_sed.frontier.axes import COMPLEXITY_METRICS, score_axes
from efficient_sed.frontier.figure import COLOURS
from efficient_sed.frontier.group_names import name_conditions
from efficient_sed.frontier.points import distinct_labels
from efficient_sed.frontier.published import read_published_models
from efficient_sed.frontier.records import own_record, plain, published_record

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("geometry.js", "chart.js", "table.js", "page.js")
OTHER_COLOURS = ("#8C6D31", "#B8336A", "#4B7F52", "#7A6FB0", "#C1784B", "#3D8B8B", "#8A8A3A", "#A35D8F")


def write_page(results: Iterable[tuple[Path, Mapping[str, Any]]], output: Path) -> Path:
    """Write finished runs, each with its folder, and all published tables as one HTML file.

    Raises:
        DataError: If the file cannot be written.
    """
    write_html(PAGE, SCRIPTS, page_data(results), output)
    return output


def page_data(results: Iterable[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    """All that the page shows: axes, families with colours, sets of comparable scores, and a record for each model."""
    runs = list(results)
    folders = {str(result["signature"]): folder for folder, result in runs}
    repeats = group_repeats(result for _, result in runs)
    records = [
        own_record(group, label, folders) for group, label in zip(repeats, distinct_labels(repeats), strict=True)
    ]
    records += [published_record(model) for model in read_published_models()]
    scores = {key for record in records for key in record["scores"]}
    costs = {key for record in records for key in record["costs"]}
    declared = score_axes()
    others = cycle(OTHER_COLOURS)
    families = {
        family: COLOURS[family] if family in COLOURS else next(others)
        for family in dict.fromkeys(record["family"] for record in records)
    }
    return {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
        "scores": {
            key: {"label": score.label, "isHigherBetter": score.is_higher_better}
            for key, score in declared.items()
            if key in scores
        }
        | {key: {"label": key, "isHigherBetter": None} for key in sorted(scores - declared.keys())},
        "costs": {
            key: {"label": metric.label, "isHigherBetter": not metric.is_lower_better}
            for key, metric in COMPLEXITY_METRICS.items()
            if key in costs
        },
        "first": main_score(runs[0][1]).key if runs else "psds1_macro",
        "families": families,
        "groups": _name_groups(records, data_words(result for _, result in runs)),
        "records": records,
    }


def _name_groups(records: list[dict[str, Any]], words: Mapping[str, str]) -> list[dict[str, Any]]:
    """Sets of records whose scores compare, ours first.

    Replaces each record's "conditions" by "group", an index into the sets.
    """
    found: list[dict[str, Any]] = []
    for record in records:
        conditions = record.pop("conditions")
        if conditions not in found:
            found.append(conditions)
        record["group"] = found.index(conditions)
    return [
        {"label": label, "isPublished": "published by" in conditions, "conditions": plain(conditions)}
        for conditions, label in zip(found, name_conditions(found, words), strict=True)
    ]
