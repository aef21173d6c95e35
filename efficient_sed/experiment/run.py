"""One run from configuration to result.json: train, evaluate, measure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efficient_sed.benchmark.speed import check_protocol, unmeasured
from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.extension import extend_splits
from efficient_sed.data.subsets import check_subsets
from efficient_sed.errors import CheckpointError
from efficient_sed.experiment.checks import check_events, check_lengths, warn_of_mistakes
from efficient_sed.experiment.compose import to_yaml
from efficient_sed.experiment.energy import energy_weighted
from efficient_sed.experiment.extend import with_initial_classes
from efficient_sed.experiment.facts import describe_measuring, describe_run, save_run_model
from efficient_sed.experiment.folders import CONFIG_FILE, MANIFEST_FILE, locked_folder, run_folder, unwritable
from efficient_sed.experiment.measure import (
    SCORED_PARTS,
    benchmark_again,
    count_costs,
    evaluate_again,
    needs_benchmark,
    needs_evaluation,
    speed_device,
    tune_run,
)
from efficient_sed.experiment.plan import announce
from efficient_sed.experiment.result_file import read_result, write_result
from efficient_sed.experiment.score import score_part
from efficient_sed.experiment.scorer import open_scorer
from efficient_sed.files.atomic import write_atomically
from efficient_sed.machine.environment import one_line
from efficient_sed.metrics.contracts import chosen_metrics
from efficient_sed.metrics.psds.back_ends import require_back_end
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.weights.checkpoint import MODEL_FILE, load_model
from efficient_sed.models.weights.read import read_checkpoint
from efficient_sed.training.curves import draw_curves
from efficient_sed.training.guards import is_first_process
from efficient_sed.training.run_files import kept_checkpoint
from efficient_sed.training.train import fit
from efficient_sed.tuning.tables import check_candidates

logger = logging.getLogger(__name__)


def run_experiment(config: RunConfig, *, show_progress: bool) -> dict[str, Any]:
    """Train, evaluate on the test part, write result.json, then measure speed and complete it.

    A finished run is not trained again. Its model is written again if it is damaged or gone. It is evaluated again if
    `evaluation.*` has other values now, and measured again if `benchmark.*` has, or its speed is missing; the result
    then holds the new values, with their options under "measured".

    Raises:
        DataError: If data or output folder cannot be used; nothing of a finished run is lost.
        CheckpointError: If the model of a finished run is damaged or gone, and its checkpoint, too.
    """
    if config.task == "detection":
        require_back_end(config.evaluation.back_end)  # now, not after the first epoch
        chosen_metrics(config.evaluation.metrics)
        check_candidates(config.evaluation)
    splits = config.data.load()
    check_events(config, splits)
    check_subsets(config, splits.train)
    folder = run_folder(config, splits.manifest_hash)
    finished = read_result(folder)
    if finished is None:
        splits = with_initial_classes(config, splits)
        if not is_first_process():
            fit(config, splits, folder, show_progress=False)  # ends the process
        with locked_folder(folder, config):
            return _run(config, splits, folder, show_progress=show_progress)
    return _complete(config, splits, folder, finished) if is_first_process() else finished


def _run(config: RunConfig, splits: Splits, folder: Path, *, show_progress: bool) -> dict[str, Any]:
    model = SedModel(ModelSpec(config.backbone, config.seq, splits.classes, config.classifier.pooling))
    check_lengths(model, config)
    warn_of_mistakes(model, config, splits)
    announce(config, splits)
    try:
        write_atomically(folder / CONFIG_FILE, to_yaml(config).encode())
        write_atomically(folder / MANIFEST_FILE, splits.manifest_hash.encode())
    except OSError as error:
        raise unwritable(config, error) from error
    check_protocol(config.benchmark, speed_device(config))
    costs = count_costs(model, config.benchmark)  # a part without a formula must fail now, not after the training
    model, training = fit(config, splits, folder, show_progress=show_progress)
    _draw_curves(folder)
    scorer = open_scorer(model, splits, config, *SCORED_PARTS)
    tuning = tune_run(model, splits, config, scorer)
    metrics = score_part(model, splits, config, "test", folder, scorer=scorer)
    metrics |= energy_weighted(metrics, "training", training.get("energy_kwh"), config.evaluation.baseline_training_kwh)
    facts = describe_run(config, splits, training, next(model.parameters()).device)
    result = {
        **facts,
        "metrics": metrics,
        "tuning": tuning,
        "complexity": {**costs, **unmeasured("not measured yet")},
        "measured": {"evaluation": describe_measuring(config.evaluation, facts["environment"])},
    }
    save_run_model(model, config, folder, result)
    write_result(folder, result)
    return benchmark_again(model, config, folder, result)


def _complete(config: RunConfig, splits: Splits, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Measure what a finished run lacks of what the configuration asks for."""
    logger.info("%s: trained before, and not trained again", folder)
    _mend_model(config, folder, result)
    if needs_evaluation(result, config) or needs_benchmark(result, config):
        with locked_folder(folder, config):
            model = load_model(str(folder / MODEL_FILE))
            if config.train.extend_classes:
                splits = extend_splits(splits, model.classes)
            if needs_evaluation(result, config):
                result = evaluate_again(model, config, splits, folder, result)
            if needs_benchmark(result, config):
                logger.info("%s: its speed is measured again", folder)
                result = benchmark_again(model, config, folder, result)
    return result


def _draw_curves(folder: Path) -> None:
    try:
        draw_curves(folder)
    except Exception as error:  # a training is worth more than its picture
        logger.warning("%s: the curves of the training could not be drawn (%s)", folder, one_line(error))


def _mend_model(config: RunConfig, folder: Path, result: Mapping[str, Any]) -> None:
    """Write the model of a finished run again if it is damaged or gone.

    Raises:
        CheckpointError: If its checkpoint is, too.
    """
    try:
        read_checkpoint(folder / MODEL_FILE)
    except CheckpointError as error:
        checkpoint = kept_checkpoint(config, folder)
        try:
            model = load_model(str(checkpoint))
        except CheckpointError:
            advice = f"put a copy of it back, or delete {folder}, and the run is trained anew"
            raise CheckpointError(f"{error}; {advice}") from error
        with locked_folder(folder, config):
            save_run_model(model, config, folder, result)
        logger.warning("%s; it was written again from %s", error, checkpoint.name)
