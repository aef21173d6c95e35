"""Post-processing of a model, chosen on one part of a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Set
from typing import Any

from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.errors import DataError
from efficient_sed.experiment.score import load_scored, num_workers, own_data, windows_of
from efficient_sed.experiment.scorer import Scorer, engine_of, open_scorer
from efficient_sed.inference.evaluate import evaluated, score_clips
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.tuning.tables import check_candidates
from efficient_sed.tuning.tune import tune


def why_not_tuned(splits: Splits, part: str) -> str | None:
    """Why nothing may be tuned on a part of a data set: results are taken of its clips; None if it may be."""
    if part != "validation" or splits.validation != splits.test:
        return None
    return "its validation part is its test part, on which nothing may be tuned"


def tune_part(
    model: Scorer, splits: Splits, config: RunConfig, part: str = "validation"
) -> tuple[Postprocessing, dict[str, Any]]:
    """Choose post-processing for all classes of a model.

    Args:
        model: What computes the scores, with the classes of the data.
        splits: The data.
        config: Candidates, and how clips are scored.
        part: "train" or "validation"; never the one that a result is taken of.

    Returns:
        The parameters, and the report for result.json.

    Raises:
        DataError: If results are taken of these very clips.
    """
    if problem := why_not_tuned(splits, part):
        advice = "hold some of the training part out, as data.validation_share=0.05 does for AudioSet, or --part train"
        raise DataError(f"data={config.data.name}: {problem}; {advice}")
    windows = windows_of(model, splits, config, part)
    clips = score_clips(
        model,
        windows,
        batch_size=config.train.batch_size,
        num_workers=num_workers(model, config),
        on_error=config.data.on_error,
    )
    found = tune(clips, config.evaluation, config.data.median_frames)
    _, columns = evaluated(windows)
    facts = {"data": config.data.name, "part": part, "manifest_hash": splits.manifest_hash, "clips": len(clips.clips)}
    whole = found.spread(columns, len(splits.classes))
    whole = dataclasses.replace(whole, notes={**whole.notes, **facts})
    facts["engine"] = engine_of(model)
    return whole, {**found.report, **facts, "postprocessing": whole.to_dict()}


def tune_checkpoint(
    name: str, config: RunConfig, part: str, typed: Set[str]
) -> tuple[Scorer, Postprocessing, dict[str, Any]]:
    """The same for trained weights or an exported model; arguments and errors as for `score_checkpoint`."""
    check_candidates(config.evaluation)
    model = load_scored(name, config)
    config, splits = own_data(model, name, config, part, typed)
    return model, *tune_part(open_scorer(model, splits, config, part), splits, config, part)
