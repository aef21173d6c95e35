"""What a model costs, and the measuring of a finished run: its speed, and its scores with other options."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from efficient_sed.benchmark.load_time import measure_load_ms
from efficient_sed.benchmark.macs import count_macs, deepspeed_macs
from efficient_sed.benchmark.macs_notes import explain_macs, published_macs
from efficient_sed.benchmark.speed import check_protocol, measure_speed
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.data.events import Splits
from efficient_sed.data.labels import NUM_AUDIOSET_STRONG
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.checks import check_length
from efficient_sed.experiment.energy import energy_weighted
from efficient_sed.experiment.facts import describe_measuring, save_run_model
from efficient_sed.experiment.result_file import write_result
from efficient_sed.experiment.score import score_part
from efficient_sed.experiment.scorer import Scorer, open_scorer
from efficient_sed.experiment.tune import tune_part, why_not_tuned
from efficient_sed.machine.environment import choose_device, describe_environment, device_name, one_line
from efficient_sed.models.factory import create_model, settle_norms
from efficient_sed.models.names import parse_name
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.cards import Card, list_cards, local_weights
from efficient_sed.models.weights.checkpoint import has_own_file, load_model

logger = logging.getLogger(__name__)
SCORED_PARTS = ("validation", "test")
"""Parts of the data that a finished training is scored on."""


def needs_evaluation(result: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether a finished detection run has to be evaluated again, because `evaluation.*` has other values now."""
    return config.task == "detection" and _has_changed(result["config"].get("evaluation"), config.evaluation)


def needs_benchmark(result: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether a finished run has no speed, or one that was measured with other values of `benchmark.*`."""
    stored, asked = result["config"].get("benchmark"), config.benchmark
    if result["complexity"]["throughput"] is None or not isinstance(stored, Mapping):
        return result["complexity"]["throughput"] is None or asked.device != "auto"
    if asked.device == "auto":  # any device will do
        stored = {**stored, "device": "auto"}
    return _has_changed(stored, asked)


def _has_changed(stored: object, asked: EvaluationConfig | BenchmarkConfig) -> bool:
    """Whether the options that a result was measured with differ; options that it does not name had their default."""
    if not isinstance(stored, Mapping):
        return False
    try:
        return from_dict(type(asked), stored) != asked
    except ConfigError:  # options that no longer exist
        return True


def evaluate_again(
    model: SedModel, config: RunConfig, splits: Splits, folder: Path, result: Mapping[str, Any]
) -> dict[str, Any]:
    """Score the kept model of a finished run with other values of `evaluation.*`, and write its result."""
    if config.train.select == "best":
        words = "%s: scored again with other values of evaluation.*; its epoch stays the one that %s chose"
        logger.info(words, folder, result["training"].get("monitor", "the validation score"))
    device = choose_device(config.train.accelerator, "train.accelerator")
    scorer = open_scorer(model.to(device), splits, config, *SCORED_PARTS)
    tuning = tune_run(model, splits, config, scorer)
    metrics = score_part(model, splits, config, "test", folder, scorer=scorer)
    used_kwh = result["training"].get("energy_kwh")  # not in results of early versions
    metrics |= energy_weighted(metrics, "training", used_kwh, config.evaluation.baseline_training_kwh)
    environment = describe_environment(device_name(device))
    save_run_model(model, config, folder, {**result, "tuning": tuning})
    return _updated(result, "evaluation", config.evaluation, environment, folder, metrics=metrics, tuning=tuning)


def tune_run(model: SedModel, splits: Splits, config: RunConfig, scorer: Scorer) -> dict[str, Any] | None:
    """Choose a trained model's post-processing on the validation part; the model carries it from then on.

    Args:
        model: The model.
        splits: The data.
        config: Of the run.
        scorer: What computes its scores.

    Returns:
        What a result says of it; None where nothing is tuned.
    """
    if config.task != "detection" or config.evaluation.tune == "none":
        model.provenance = dataclasses.replace(model.provenance, postprocessing={})
        return None
    if problem := why_not_tuned(splits, "validation"):
        logger.warning("data=%s: %s; scores and thresholds stay as they are", config.data.name, problem)
        model.provenance = dataclasses.replace(model.provenance, postprocessing={})
        return {"for": config.evaluation.tune, "data": config.data.name, "part": "validation", "missing": problem}
    logger.info("choosing post-processing for evaluation.tune=%s on the validation part", config.evaluation.tune)
    chosen, report = tune_part(scorer, splits, config)
    model.provenance = dataclasses.replace(model.provenance, postprocessing=chosen.to_dict())
    return report


def benchmark_again(model: SedModel, config: RunConfig, folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Count and measure a finished run that has no speed, or one with other values of `benchmark.*`.

    Whatever fails in the measuring is a warning, and left to the next start.

    Raises:
        ConfigError: If it cannot be measured in that way, or on that device, or clips of that length are not taken.
    """
    check_length(model, "benchmark.seconds", config.benchmark.seconds)
    device = speed_device(config)
    check_protocol(config.benchmark, device)
    complexity = result["complexity"]
    try:
        costs = complexity
        if complexity["seconds"] != config.benchmark.seconds:
            costs = {**complexity, **count_costs(model, config.benchmark)}
        speed = measure_speed(model.to(device), config.benchmark)
        environment = describe_environment(device_name(device))
        costs = {**costs, **speed, "speed_environment": environment}
        return _updated(result, "benchmark", config.benchmark, environment, folder, complexity=costs)
    except Exception as error:  # a GPU's libraries raise anything; the training is done
        words = "%s: its speed could not be measured (%s); its scores are kept, and the same command measures again"
        logger.warning(words, folder, one_line(error))
        logger.debug("why", exc_info=error)
        if complexity["throughput"] is not None:  # what was measured before stays as it is
            return dict(result)
        missing = {**complexity, "speed_missing": {"throughput": one_line(error)}}
        with contextlib.suppress(OSError):
            write_result(folder, {**result, "complexity": missing})
        return {**result, "complexity": missing}


def _updated(
    result: Mapping[str, Any],
    part: str,
    options: EvaluationConfig | BenchmarkConfig,
    environment: Mapping[str, Any],
    folder: Path,
    **values: Any,
) -> dict[str, Any]:
    """Write a result with new values and with the options that they were measured with."""
    updated = {
        **result,
        **values,
        "config": {**result["config"], part: to_dict(options)},
        "measured": {**result.get("measured", {}), part: describe_measuring(options, environment)},
    }
    write_result(folder, updated)
    return updated


def speed_device(config: RunConfig) -> torch.device:
    """Where the speed of a run is measured."""
    if config.benchmark.device == "auto":
        return choose_device(config.train.accelerator, "train.accelerator")
    return choose_device(config.benchmark.device, "benchmark.device")


def benchmark_model(name: str, config: BenchmarkConfig, *, may_download: bool = True) -> dict[str, Any]:
    """What a model costs, and what it scores according to its card.

    Args:
        name: A released name, a file or a model on the hub; or an architecture, with random weights and AudioSet
            Strong's 447 classes.
        config: How it is measured.
        may_download: Whether released weights that are not here are fetched; else random ones stand in for them.
    """
    card = list_cards().get(name)
    model, weights = _model_of(name, card, may_download=may_download)
    check_length(model, "benchmark.seconds", config.seconds)
    device = choose_device(config.device, "benchmark.device")
    logger.info("%s: counting its MACs", name)
    costs = count_costs(model, config) | {"load_ms": measure_load_ms(model, config.clock)}
    complexity = {**costs, **measure_speed(model.to(device), config)}
    return {
        "model": name,
        "weights": weights,
        "score": _score_of(card),
        "complexity": complexity,
        "environment": describe_environment(device_name(device)),
    }


def _model_of(name: str, card: Card | None, *, may_download: bool) -> tuple[SedModel, str]:
    """A model, and whether its weights are "trained" or "random"."""
    if card is not None and not may_download and local_weights(card) is None:
        return settle_norms(create_model(card.architecture, num_classes=card.num_classes)), "random"
    if card is not None or has_own_file(name) or parse_name(name).tag is not None:
        return load_model(name), "trained"
    return settle_norms(create_model(name, num_classes=NUM_AUDIOSET_STRONG)), "random"


def _score_of(card: Card | None) -> dict[str, Any] | None:
    """The leading score of a card, and whether a training of ours has it ("measured")."""
    if card is None or card.score is None:
        return None
    source = "measured" if card.recipe else "published"
    return {"metric": card.score.metric, "value": card.score.value, "on": card.score.data, "source": source}


def count_costs(model: SedModel, config: BenchmarkConfig) -> dict[str, Any]:
    """Parameters, MACs and activations of a model, in the form that results carry, counted where the model lies."""
    macs, by_deepspeed = count_macs(model, config.seconds), deepspeed_macs(model, config.seconds)
    published = published_macs(model, config.seconds)
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "macs": macs.total,
        "macs_by_part": dict(macs.by_part),
        "macs_deepspeed": by_deepspeed,
        "macs_published": published,
        "macs_note": explain_macs(model, macs, by_deepspeed, published),
        "activations": macs.activations.total,
        "activations_peak": macs.activations.peak,
        "seconds": config.seconds,
    }
