"""Scores of a trained model, or of an exported one, on one part of a data set."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Set
from functools import partial
from pathlib import Path
from typing import Any

import torch

from efficient_sed.benchmark.energy.recorder import EnergyRecorder
from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Splits
from efficient_sed.data.extension import extend_splits
from efficient_sed.data.subsets import scorable
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.energy import energy_weighted
from efficient_sed.experiment.facts import describe_data
from efficient_sed.experiment.folders import fold_of_config
from efficient_sed.experiment.scorer import Scorer, engine_of, open_scorer
from efficient_sed.export.engine_file import choose_file
from efficient_sed.inference.engines.contract import is_exported
from efficient_sed.inference.error_report.collected import ErrorReport
from efficient_sed.inference.evaluate import evaluate_model, evaluated
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.negatives import score_negatives
from efficient_sed.machine.environment import choose_device
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.models.weights.checkpoint import load_model
from efficient_sed.postprocessing.carried import Postprocessing

logger = logging.getLogger(__name__)


def score_part(
    model: Scorer,
    splits: Splits,
    config: RunConfig,
    part: str,
    folder: Path | None = None,
    report: ErrorReport | None = None,
    scorer: Scorer | None = None,
) -> dict[str, Any]:
    """Metrics of the configured task on one part of a data set.

    Event scores, where the data have them, use a threshold that is tuned on the validation part. With the test part,
    false alarms are counted on the data's negatives. "energy" is that of the machine while the part is read, scored and
    its metrics are computed.

    Args:
        model: With the classes of the data.
        splits: The data.
        config: Task, post-processing and options of the evaluation.
        part: "train", "validation" or "test".
        folder: Where the counts behind PSDS are written; default None, nowhere.
        report: A page about the errors; default None, none.
        scorer: What computes the model's scores; default None, what `evaluation.engine` says.
    """
    scorer = open_scorer(model, splits, config, part) if scorer is None else scorer
    tuned = _tuned(model, splits, config)
    if tuned is not None and _was_tuned_on(tuned, splits, config, part):
        words = "the %s part of data=%s is what the post-processing was tuned on: scores with it are too good there"
        logger.warning(words, part, config.data.name)
    how: dict[str, Any] = {
        "median_frames": config.data.median_frames,
        "batch_size": config.train.batch_size,
        "num_workers": num_workers(scorer, config),
        "on_error": config.data.on_error,
        "postprocessing": tuned,
    }
    with EnergyRecorder.of_machine(_gpus(model)) as energy:
        metrics = evaluate_model(
            scorer,
            windows_of(model, splits, config, part),
            task=config.task,
            config=config.evaluation,
            tuning=windows_of(model, splits, config, "validation") if config.has_event_scores else None,
            folder=folder,
            inspect=None if report is None else partial(report.write, config=config.evaluation),
            **how,
        )
        metrics["energy"] = energy.facts(energy.joules_by_part())
    if part == "test":
        kwh, baseline_kwh = metrics["energy"]["energy_kwh"], config.evaluation.baseline_test_kwh
        metrics |= energy_weighted(metrics, "test", kwh, baseline_kwh)
    if part == "test" and splits.negatives and config.task == "detection":
        metrics |= score_negatives(scorer, windows_of(model, splits, config, "negatives"), **how)
    return {"engine": engine_of(scorer), **metrics}


def _gpus(model: SedModel | ExportedModel) -> list[torch.device]:
    """Those that a model lies on."""
    device = None if isinstance(model, ExportedModel) else next(model.parameters()).device
    return [] if device is None or device.type == "cpu" else [device]


def _tuned(model: Scorer, splits: Splits, config: RunConfig) -> Postprocessing | None:
    """What a model was tuned to, for the evaluated classes; None where it was not, or it is not wanted."""
    stored = _provenance(model).postprocessing
    if not stored or config.task != "detection" or config.evaluation.tune == "none":
        return None
    own = Postprocessing.of(stored, config.data.median_frames, len(model.classes), model.grid.hop_s)
    _, columns = evaluated(windows_of(model, splits, config, "test"))
    return own.select(columns)


def _was_tuned_on(tuned: Postprocessing, splits: Splits, config: RunConfig, part: str) -> bool:
    """Whether a part of a data set is the one that parameters were chosen on; the hash, which reads files, comes last.

    One part may also be both validation and test.
    """
    on = tuned.notes.get("part")
    is_same = on == part or (on == "validation" and part == "test" and splits.validation == splits.test)
    return (
        is_same
        and tuned.notes.get("data") == config.data.name
        and tuned.notes.get("manifest_hash") == splits.manifest_hash
    )


def windows_of(model: Scorer, splits: Splits, config: RunConfig, part: str) -> EvaluationWindows:
    """One part of a data set as a model scores it."""
    clips, seconds = scorable(getattr(splits, part), config.task), config.data.clip_seconds
    return EvaluationWindows(clips, splits.classes, model.grid, seconds, splits.evaluated_classes)


def num_workers(model: Scorer, config: RunConfig) -> int:
    """Processes that decode while a model scores."""
    return 0 if isinstance(model, ExportedModel) and not model.can_fork else config.data.pool_size


def score_checkpoint(
    name: str,
    config: RunConfig,
    part: str,
    typed: Set[str],
    report: ErrorReport | None = None,
) -> dict[str, Any]:
    """Data and metrics of trained weights, or of an exported model, scored the way they were trained; see `own_data`.

    Args:
        name: Released name, checkpoint file or exported model.
        config: Data, task and options of the evaluation.
        part: "train", "validation" or "test".
        typed: Keys of `config` that the user gave.
        report: A page about the errors; default None, none.

    Raises:
        ConfigError: If `evaluation.engine` does not run the model, or see `own_data`.
    """
    model = load_scored(name, config)
    config, splits = own_data(model, name, config, part, typed)
    return {"data": describe_data(config, splits), **score_part(model, splits, config, part, report=report)}


def load_scored(name: str, config: RunConfig) -> Scorer:
    """A model to be scored; arguments and errors as for `score_checkpoint`."""
    if is_exported(name):
        _, engine = choose_file(name, config.evaluation.engine)
        return ExportedModel(name, engine=engine)
    return load_model(name).to(choose_device(config.train.accelerator, "train.accelerator"))


def own_data(model: Scorer, name: str, config: RunConfig, part: str, typed: Set[str]) -> tuple[RunConfig, Splits]:
    """The configuration in which a model is scored on a data set, and the data.

    The model's own window, median filter and fold are taken, unless these keys were typed.

    Raises:
        ConfigError: If the weights were trained for another task, or on the clips that they are to be tested on.
    """
    trained = _provenance(model)
    if trained.task != config.task:
        raise ConfigError(
            f"{name} was trained for task={trained.task}, not task={config.task}; give task={trained.task}"
        )
    own: dict[str, Any] = {
        key: getattr(trained, key) for key in ("clip_seconds", "median_frames") if f"data.{key}" not in typed
    }
    is_extended = "extended_from" in trained.notes
    if getattr(config.data, "classes", ()) is None and not is_extended:
        own["classes"] = tuple(model.classes)
    fold = trained.notes.get("fold")
    if trained.notes.get("trained_on") == config.data.name and fold is not None:
        if "data.fold" not in typed:
            own["fold"] = fold
        elif part != "train" and fold != (given := fold_of_config(config)):
            seen = f"{name} was trained on clips of its {part} part"
            raise ConfigError(
                f"data.fold={given} is not allowed: {seen}; what it was not trained on is data.fold={fold}"
            )
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **own))
    splits = config.data.load()
    return config, extend_splits(splits, model.classes) if is_extended else splits


def _provenance(model: Scorer) -> Provenance:
    if isinstance(model, SedModel):
        return model.provenance
    header = model.header
    notes: dict[str, Any] = {"trained_on": header.trained_on, "fold": header.fold}
    notes |= {"extended_from": header.extended_from} if header.extended_from else {}
    return Provenance(header.clip_seconds, header.median_frames, header.task, notes, header.postprocessing)
