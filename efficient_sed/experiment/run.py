"""One run from configuration to result.json: train, evaluate, measure."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import torch

from efficient_sed.benchmark.macs import count_macs, deepspeed_macs
from efficient_sed.benchmark.macs_notes import explain_macs, published_macs
from efficient_sed.benchmark.speed import check_protocol, measure_speed, unmeasured
from efficient_sed.config.schema import BenchmarkConfig, RunConfig, to_dict
from efficient_sed.data.check import summarise
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Splits
from efficient_sed.data.labels import NUM_AUDIOSET_STRONG
from efficient_sed.data.storage.columns import durations
from efficient_sed.errors import CheckpointError, ConfigError, DataError, require
from efficient_sed.experiment.compose import to_yaml
from efficient_sed.experiment.result_file import RESULT_FILE, needs_speed, read_result, write_result
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.locks import locked
from efficient_sed.inference.engines import is_exported
from efficient_sed.inference.evaluate import evaluate_model
from efficient_sed.inference.onnx_model import OnnxModel
from efficient_sed.machine.environment import choose_device, describe_environment, device_name, one_line
from efficient_sed.metrics.psds.back_ends import require_back_end
from efficient_sed.models.factory import create_model, settle_norms
from efficient_sed.models.names import model_name, parse_name
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.models.weights.checkpoint import CHECKPOINT_SUFFIXES, MODEL_FILE, load_model, save_model
from efficient_sed.models.weights.read import read_checkpoint
from efficient_sed.training.curves import METRICS_FILE, draw_curves
from efficient_sed.training.train import (
    BEST_CHECKPOINT,
    LAST_CHECKPOINT,
    fit,
    follow,
    is_first_process,
    kept_checkpoint,
)

logger = logging.getLogger(__name__)
MANIFEST_FILE = "manifest.txt"
COARSE_S = 0.25  # between scores
CONFIG_FILE, LOCK_FILE = "config.yaml", ".lock"


def signature(config: RunConfig) -> str:
    """Ten digits that name what a run computes: equal for configurations that differ only in where and how it is carried out."""
    values = to_dict(config) | {"data": config.data.identity()}
    del (
        values["output_dir"],
        values["logger"],
        values["train"]["accelerator"],
        values["train"]["strategy"],
        values["benchmark"]["device"],
    )
    values["train"]["devices"] = 1  # as many as there are today
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def run_folder(config: RunConfig) -> Path:
    """Where a run keeps its files; readable, and one per signature."""
    fold = _fold(config)
    data = config.data.name if fold is None else f"{config.data.name}-fold{fold}"
    return Path(config.output_dir) / f"{model_name(config)}_{data}_seed{config.seed}_{signature(config)}"


def _fold(config: RunConfig) -> int | None:
    """The fold of its data that a run is tested on; none where there are no folds."""
    return getattr(config.data, "fold", None)


def run_experiment(config: RunConfig, *, show_progress: bool) -> dict[str, Any]:
    """Train, evaluate on the test part, write result.json, then measure speed and complete it.

    A finished run is returned as it is, its model written again if that is damaged or gone, and its speed measured if that is missing.

    Raises:
        DataError: If data or output folder cannot be used; nothing of a finished run is lost.
        CheckpointError: If the model of a finished run is damaged or gone, and its checkpoint, too.
    """
    folder = run_folder(config)
    if config.task == "detection":
        require_back_end(config.evaluation.back_end)  # now, not after the first epoch
    splits = config.data.load()
    is_taught = bool(config.data.pseudo_labels or config.data.clip_teacher or config.train.teacher)
    for part, use in (("validation", "score"), ("test", "score"), *(() if is_taught else (("train", "learn"),))):
        if not any(clip.events for clip in getattr(splits, part)):
            raise DataError(
                f"the {part} part of data={config.data.name} holds no event, so there is nothing to {use}; add some to its annotations"
            )
    check_same_data(folder, splits)
    finished = read_result(folder)
    if finished is not None:
        if is_first_process():
            _mend_model(config, folder, finished)
        if is_first_process() and needs_speed(finished, config.benchmark.device):
            with _locked(folder, config):
                finished = _add_speed(load_model(str(folder / MODEL_FILE)), config, folder, finished)
        logger.info("%s is finished", folder)
        return finished
    if not is_first_process():
        follow(config, splits, folder)
    with _locked(folder, config):
        return _run(config, splits, folder, show_progress=show_progress)


@contextlib.contextmanager
def _locked(folder: Path, config: RunConfig) -> Iterator[None]:
    """Keep two processes from training one run into one folder. The lock goes with the process, however that ends.

    A folder that is made here is removed again if the block fails before anything was learnt.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / LOCK_FILE, waits=False))
        except TimeoutError as error:
            raise DataError(f"{folder}: another process is training this run; wait for it or stop it") from error
        except OSError as error:
            raise DataError(
                f"output_dir={config.output_dir}: cannot be written ({error.strerror}); give a writable folder as output_dir=DIR"
            ) from error
        try:
            yield
        except BaseException:
            if folder in made and not any(
                (folder / name).exists() for name in (LAST_CHECKPOINT, BEST_CHECKPOINT, METRICS_FILE)
            ):
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # others may have made runs there meanwhile
                    for place in made[1:]:
                        place.rmdir()
            raise


def check_same_data(folder: Path, splits: Splits) -> None:
    """Refuse to mix a run that was begun, or finished, on data that have changed since.

    Raises:
        DataError: If the folder's manifest is another one; the message names both hashes.
    """
    path = folder / MANIFEST_FILE
    has_progress = (folder / LAST_CHECKPOINT).is_file() or (folder / RESULT_FILE).is_file()
    if has_progress and path.is_file() and (begun := path.read_text(encoding="utf-8").strip()) != splits.manifest_hash:
        raise DataError(
            f"{folder}: begun on data with hash {begun}, they now have {splits.manifest_hash}; restore the data, or move that folder away to start anew"
        )


def check_lengths(model: SedModel, config: RunConfig) -> None:
    """Raise a ConfigError if the clips that it learns from, or that it is measured on, are not of a length that it takes."""
    lengths = {
        "data.clip_seconds": config.data.clip_seconds,
        "train.crop_seconds": config.train.crop_seconds,
        "benchmark.seconds": config.benchmark.seconds,
    }
    for key, seconds in lengths.items():
        if seconds is not None:
            check_length(model, key, seconds)


def check_length(model: SedModel, key: str, seconds: float) -> None:
    """Raise a ConfigError if clips are too short for one step of the model, or longer than its positions go."""
    grid, backbone, name = model.grid, model.backbone, model.spec.backbone.name
    steps = grid.num_frames(round(seconds * grid.sample_rate))
    require(
        steps >= 1, key, seconds, f"at least {grid.first_frame_samples / grid.sample_rate:g} s with backbone={name}"
    )
    if backbone.max_frames is not None and not backbone.is_piecewise:
        longest = backbone.max_frames * grid.hop_length / grid.sample_rate
        require(
            steps * backbone.time_stride <= backbone.max_frames,
            key,
            seconds,
            f"at most {longest:g} s with backbone={name}",
        )


def _advise(model: SedModel, config: RunConfig, splits: Splits) -> None:
    """Say what can be meant, but seldom is."""
    longest, step_s = float(durations(splits.train).max(initial=0.0)), model.grid.hop_s
    if longest < config.data.clip_seconds - step_s:
        logger.warning(
            "every training clip is padded with silence: the longest lasts %g s, data.clip_seconds=%g",
            longest,
            config.data.clip_seconds,
        )
    heard, tested = (summarise(clips, splits.classes).events for clips in (splits.train, splits.test))
    unheard = [label for label, count in tested.items() if count and not heard[label]]
    if unheard and config.data.has_labels:
        logger.warning(
            "classes of the test part without an event in the training part: %d, such as %r; what is scored of them is chance",
            len(unheard),
            unheard[0],
        )
    if config.task == "detection" and step_s > COARSE_S:
        logger.warning(
            "backbone=%s gives one score each %g s, too few to find events by; its frame-wise kin are in the README",
            config.backbone.name,
            step_s,
        )


def _run(config: RunConfig, splits: Splits, folder: Path, *, show_progress: bool) -> dict[str, Any]:
    model = SedModel(ModelSpec(config.backbone, config.seq, splits.classes))
    check_lengths(model, config)
    _advise(model, config, splits)
    try:
        write_atomically(folder / CONFIG_FILE, to_yaml(config).encode())
        write_atomically(folder / MANIFEST_FILE, splits.manifest_hash.encode())
    except OSError as error:
        raise DataError(
            f"output_dir={config.output_dir}: cannot be written ({error.strerror}); give a writable folder as output_dir=DIR"
        ) from error
    check_protocol(config.benchmark, _speed_device(config))
    costs = count_costs(model, config.benchmark)  # a part without a formula must fail now, not after the training
    model, training = fit(config, splits, folder, show_progress=show_progress)
    _draw_curves(folder)
    metrics = score_part(model, splits, config, "test", folder)
    result = {
        "model": model_name(config),
        "backbone": config.backbone.name,
        "head": config.seq.name,
        "hidden": getattr(config.seq, "hidden", None),
        "task": config.task,
        "seed": config.seed,
        "signature": signature(config),
        "metrics": metrics,
        "complexity": {**costs, **unmeasured("not measured yet")},
        "training": training,
        "data": describe_data(config, splits),
        "config": to_dict(config),
        "environment": describe_environment(device_name(next(model.parameters()).device)),
    }
    _save_model(model, config, folder, result)
    write_result(folder, result)
    return _add_speed(model, config, folder, result)


def _draw_curves(folder: Path) -> None:
    try:
        draw_curves(folder)
    except Exception as error:  # a picture is worth no training
        logger.warning("%s: the curves of the training could not be drawn (%s)", folder, one_line(error))


def _speed_device(config: RunConfig) -> torch.device:
    """Where the speed of a run is measured."""
    if config.benchmark.device == "auto":
        return choose_device(config.train.accelerator, "train.accelerator")
    return choose_device(config.benchmark.device, "benchmark.device")


def _add_speed(model: SedModel, config: RunConfig, folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the speed of a run that is finished but for that, and write its result again. What fails is a warning, and left to the next start.

    Raises:
        ConfigError: If it cannot be measured on that device, or there is none.
    """
    device = _speed_device(config)
    check_protocol(config.benchmark, device)
    try:
        speed = measure_speed(model.to(device), config.benchmark)
        speed["speed_environment"] = describe_environment(
            device_name(device)
        )  # a later one than the training's, perhaps on another machine
        result = {
            **result,
            "complexity": {**result["complexity"], **speed},
            "config": {**result["config"], "benchmark": to_dict(config.benchmark)},
        }
        write_result(folder, result)
    except Exception as error:  # a GPU's libraries raise anything; the training is done
        logger.warning(
            "%s: its speed could not be measured (%s); its scores are kept, and the same command measures again",
            folder,
            one_line(error),
        )
        logger.debug("why", exc_info=error)
        if result["complexity"]["throughput"] is None:  # else what was measured before stays as it is
            result = {
                **result,
                "complexity": {**result["complexity"], "speed_missing": {"throughput": one_line(error)}},
            }
            with contextlib.suppress(OSError):
                write_result(folder, result)
    return dict(result)


def _save_model(model: SedModel, config: RunConfig, folder: Path, result: Mapping[str, Any]) -> None:
    """Write the run's model, which says where it comes from."""
    notes = {
        "trained_on": config.data.name,
        **({} if (fold := _fold(config)) is None else {"fold": fold}),
        "task": config.task,
        "seed": config.seed,
        "signature": result["signature"],
        "manifest_hash": result["data"]["manifest_hash"],
        "commit": result["environment"]["commit"],
    }
    model.provenance = dataclasses.replace(model.provenance, notes=notes)
    save_model(model, folder / MODEL_FILE)


def _mend_model(config: RunConfig, folder: Path, result: Mapping[str, Any]) -> None:
    """Write the model of a finished run again if it is damaged or gone.

    Raises:
        CheckpointError: If its checkpoint is, too.
    """
    try:
        read_checkpoint(folder / MODEL_FILE)
    except CheckpointError as error:
        try:
            model = load_model(str(kept_checkpoint(config, folder)))
        except CheckpointError:
            raise CheckpointError(
                f"{error}; put a copy of it back, or delete {folder}, and the run is trained anew"
            ) from error
        with _locked(folder, config):
            _save_model(model, config, folder, result)
        logger.warning("%s; it was written again from %s", error, kept_checkpoint(config, folder).name)


def score_part(
    model: SedModel | OnnxModel, splits: Splits, config: RunConfig, part: str, folder: Path | None = None
) -> dict[str, Any]:
    """Metrics of the configured task on one part of a data set; event scores, where the data have them, are tuned on the validation part.

    What lies behind PSDS1 is written into `folder`, if there is one.
    """

    def windows(part: str) -> EvaluationWindows:
        return EvaluationWindows(
            getattr(splits, part), splits.classes, model.grid, config.data.clip_seconds, splits.evaluated_classes
        )

    return evaluate_model(
        model,
        windows(part),
        task=config.task,
        config=config.evaluation,
        median_frames=config.data.median_frames,
        batch_size=config.train.batch_size,
        num_workers=0 if isinstance(model, OnnxModel) and not model.can_fork else config.data.num_workers,
        on_error=config.data.on_error,
        tuning=windows("validation") if config.has_event_scores else None,
        folder=folder,
    )


def score_checkpoint(
    name: str, config: RunConfig, part: str, typed: Set[str], engine: str | None = None
) -> dict[str, Any]:
    """Data and metrics of trained weights, or of an exported model, scored the way they were trained; see `own_data`.

    Args:
        engine: What runs an exported model; none: onnxruntime.
    """
    model: SedModel | OnnxModel
    if is_exported(name):
        model = OnnxModel(name, engine=engine)
    elif engine is not None:
        raise ConfigError(
            f"--engine {engine} runs exported models, and {name} is none; make one by: efficient-sed export {name} --format onnx"
        )
    else:
        model = load_model(name).to(choose_device(config.train.accelerator, "train.accelerator"))
    config, splits = own_data(model, name, config, part, typed)
    return {"data": describe_data(config, splits), **score_part(model, splits, config, part)}


def own_data(
    model: SedModel | OnnxModel, name: str, config: RunConfig, part: str, typed: Set[str]
) -> tuple[RunConfig, Splits]:
    """The configuration in which a model is scored on a data set, and the data: with its own window, median filter and fold, unless those keys were typed.

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
    if getattr(config.data, "classes", ()) is None:
        own["classes"] = tuple(model.classes)
    if trained.notes.get("trained_on") == config.data.name and (fold := trained.notes.get("fold")) is not None:
        if "data.fold" not in typed:
            own["fold"] = fold
        elif part != "train" and fold != (given := _fold(config)):
            raise ConfigError(
                f"data.fold={given} is not allowed: {name} was trained on clips of its {part} part; what it was not trained on is data.fold={fold}"
            )
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **own))
    return config, config.data.load()


def _provenance(model: SedModel | OnnxModel) -> Provenance:
    if isinstance(model, SedModel):
        return model.provenance
    header = model.header
    return Provenance(
        header.clip_seconds, header.median_frames, header.task, {"trained_on": header.trained_on, "fold": header.fold}
    )


def benchmark_model(name: str, config: BenchmarkConfig) -> dict[str, Any]:
    """What a model costs: a released name or file, or an architecture with random weights and AudioSet Strong's 447 classes."""
    has_weights = Path(name).suffix in CHECKPOINT_SUFFIXES or name in list_cards() or parse_name(name).tag is not None
    model = load_model(name) if has_weights else settle_norms(create_model(name, num_classes=NUM_AUDIOSET_STRONG))
    check_length(model, "benchmark.seconds", config.seconds)
    device = choose_device(config.device, "benchmark.device")
    logger.info("%s: counting its MACs", name)
    costs = count_costs(model, config)
    complexity = {**costs, **measure_speed(model.to(device), config)}
    return {"model": name, "complexity": complexity, "environment": describe_environment(device_name(device))}


def count_costs(model: SedModel, config: BenchmarkConfig) -> dict[str, Any]:
    """Parameters and MACs of a model, in the form that results carry, counted where the model lies."""
    macs, by_deepspeed = count_macs(model, config.seconds), deepspeed_macs(model, config.seconds)
    published = published_macs(model, config.seconds)
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "macs": macs.total,
        "macs_by_part": dict(macs.by_part),
        "macs_deepspeed": by_deepspeed,
        "macs_published": published,
        "macs_note": explain_macs(model, macs, by_deepspeed, published),
        "seconds": config.seconds,
    }


def describe_data(config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Name, hash and coverage of a data set."""
    clips = {part: len(getattr(splits, part)) for part in splits.parts}
    return {
        "name": config.data.name,
        "fold": _fold(config),
        "manifest_hash": splits.manifest_hash,
        "clips": clips,
        "clips_expected": None if splits.expected is None else dict(splits.expected),
        "num_classes": len(splits.classes),
        "skipped": list(splits.skipped),
        "events_cut": {part: overhang._asdict() for part, overhang in splits.overhang.items()},
    }
