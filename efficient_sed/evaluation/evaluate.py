"""A model's scores on a data set, and the metrics of a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from efficient_sed.config.schema import EvaluationConfig
from efficient_sed.data.clip_dataset import Batch, EvaluationWindows, collate
from efficient_sed.data.events import Clip, Event
from efficient_sed.errors import DataError
from efficient_sed.evaluation.event_metrics import Postprocessing, event_metrics
from efficient_sed.evaluation.postprocess import smooth_scores
from efficient_sed.evaluation.psds import PsdsResult, psds1
from efficient_sed.evaluation.tagging_metrics import mean_average_precision
from efficient_sed.models.sed import SedModel


class ClipScores:
    """Collects the scores of windows, in any order, and puts clips together."""

    def __init__(self, dataset: EvaluationWindows) -> None:
        self.dataset = dataset
        self._pieces: dict[int, np.ndarray] = {}
        self._clip_logits: dict[int, np.ndarray] = {}

    def add(self, positions: Tensor, frame_scores: Tensor, clip_logits: Tensor) -> None:
        """Scores (batch, classes, frames) and clip logits (batch, classes) of the windows at `positions`."""
        frames = frame_scores.float().cpu().numpy()
        logits = clip_logits.float().cpu().numpy()
        for row, window in enumerate(positions.tolist()):
            _, cut = self.dataset.windows[window]
            self._pieces[window] = frames[row, :, cut.first : cut.last].T
            self._clip_logits[window] = logits[row]

    def gather(self) -> None:
        """Take over what the other processes of a distributed run collected; all then hold the same."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, (self._pieces, self._clip_logits))
        for pieces, clip_logits in parts:
            self._pieces |= pieces
            self._clip_logits |= clip_logits

    def complete(self) -> tuple[list[Clip], dict[str, np.ndarray]]:
        """Clips all of whose windows were scored, and their scores (frames, classes)."""
        windows: dict[int, list[int]] = {}
        for window, (clip, _) in enumerate(self.dataset.windows):
            windows.setdefault(clip, []).append(window)
        whole = {clip: indices for clip, indices in windows.items() if all(i in self._pieces for i in indices)}
        clips = [self.dataset.clips[clip] for clip in whole]
        return clips, {self.dataset.clips[clip].id: np.concatenate([self._pieces[i] for i in indices]) for clip, indices in whole.items()}

    def evaluated(self) -> tuple[list[str], list[int]]:
        """Labels that metrics are taken over, and their columns."""
        labels, evaluated = self.dataset.classes, self.dataset.evaluated_classes
        columns = [column for column, label in enumerate(labels) if evaluated is None or label in evaluated]
        return [labels[column] for column in columns], columns

    def events_and_scores(self) -> tuple[list[str], dict[str, list[Event]], dict[str, np.ndarray]]:
        """Evaluated labels, and of complete clips the events of these labels and their scores (frames, classes)."""
        clips, scores = self.complete()
        classes, columns = self.evaluated()
        allowed = frozenset(classes)
        return classes, {clip.id: [event for event in clip.events if event.label in allowed] for clip in clips}, {clip: array[:, columns] for clip, array in scores.items()}

    def clip_logits(self) -> tuple[Tensor, Tensor]:
        """Logits and targets (clips, classes) of complete clips; a clip of several windows takes their maximum."""
        rows: dict[int, list[np.ndarray]] = {}
        for window, logits in self._clip_logits.items():
            rows.setdefault(self.dataset.windows[window][0], []).append(logits)
        targets = np.zeros((len(rows), len(self.dataset.classes)), dtype=np.float32)
        for row, clip in enumerate(rows):
            for event in self.dataset.clips[clip].events:
                targets[row, list(self.dataset.classes).index(event.label)] = 1
        return torch.from_numpy(np.stack([np.max(logits, axis=0) for logits in rows.values()])), torch.from_numpy(targets)


def detection_metrics(collected: ClipScores, config: EvaluationConfig, median_frames: int, frame_hop_s: float) -> PsdsResult:
    """PSDS1 of collected scores of the evaluated classes after the median filter."""
    classes, truth, scores = collected.events_and_scores()
    return psds1(
        {clip: smooth_scores(array, median_frames) for clip, array in scores.items()},
        truth,
        {clip.id: clip.duration_s for clip in collected.complete()[0]},
        classes=classes,
        frame_hop_s=frame_hop_s,
        dtc=config.dtc,
        gtc=config.gtc,
        alpha_st=config.alpha_st,
        max_efpr=config.max_efpr,
    )


def collected_event_metrics(collected: ClipScores, frame_hop_s: float, postprocessing: Postprocessing | None = None) -> dict[str, Any]:
    """Event scores of collected scores of the evaluated classes; without a postprocessing, with the best one on these very clips."""
    classes, truth, scores = collected.events_and_scores()
    return event_metrics(truth, scores, classes, frame_hop_s, postprocessing)


def evaluate_model(
    model: SedModel,
    dataset: EvaluationWindows,
    *,
    task: str,
    config: EvaluationConfig,
    median_frames: int,
    batch_size: int,
    num_workers: int,
    on_error: str,
    tuning: EvaluationWindows | None = None,
) -> dict[str, Any]:
    """Metrics of a task on a data set, with what they were computed on.

    Args:
        tuning: Clips on which the postprocessing of event scores is chosen; none: no event scores.

    Raises:
        DataError: If a file cannot be read and `on_error` is not "skip".
    """
    collected, unreadable = _score_windows(model, dataset, batch_size, num_workers, on_error)
    metrics = {
        "coverage": {"clips_expected": len(dataset.clips), "clips_scored": len(collected.complete()[0]), "unreadable": sorted(set(unreadable))},
        **task_metrics(collected, task, config, median_frames, model.grid.hop_s),
    }
    if tuning is not None:
        tuned = collected if tuning.clips == dataset.clips else _score_windows(model, tuning, batch_size, num_workers, on_error)[0]
        chosen = Postprocessing(**collected_event_metrics(tuned, model.grid.hop_s)["postprocessing"])
        metrics |= collected_event_metrics(collected, model.grid.hop_s, chosen)
    return metrics


def _score_windows(model: SedModel, dataset: EvaluationWindows, batch_size: int, num_workers: int, on_error: str) -> tuple[ClipScores, list[str]]:
    """Scores of all windows, and the messages of files that could not be read."""
    check_classes(model, dataset.classes)
    device = next(model.parameters()).device
    collected = ClipScores(dataset)
    unreadable: list[str] = []
    loader: Iterable[Batch] = DataLoader(dataset, batch_size, collate_fn=collate, num_workers=num_workers)
    model.eval()
    with torch.inference_mode():
        for batch in loader:
            handle_unreadable(batch, on_error, unreadable)
            if len(batch.positions) == 0:
                continue
            for part in torch.split(torch.arange(len(batch.positions)), batch_size if device.type == "cuda" else 1):  # small batches keep a CPU's cache warm
                output = model(model.frontend(batch.waveform[part].to(device)))
                collected.add(batch.positions[part], output.frame_logits.float().sigmoid(), output.clip_logits)
    return collected, unreadable


def task_metrics(collected: ClipScores, task: str, config: EvaluationConfig, median_frames: int, frame_hop_s: float) -> dict[str, Any]:
    """The metrics that a result carries: PSDS1 for detection, mAP for tagging; each with its exact variant.

    Raises:
        DataError: If no clip was scored whole.
    """
    if not collected.complete()[0]:
        raise DataError(f"nothing to score: of {len(collected.dataset.clips)} clips none could be read")
    classes, columns = collected.evaluated()
    class_set = {} if collected.dataset.evaluated_classes is None else {"num_classes_evaluated": len(classes)}
    if task == "tagging":
        logits, targets = collected.clip_logits()
        value, per_class = mean_average_precision(logits[:, columns], targets[:, columns], classes)
        return {"map": value, "per_class": per_class, "variant": {"metric": "map", "num_classes": len(per_class), "back_end": "torchmetrics", **class_set}}
    result = detection_metrics(collected, config, median_frames, frame_hop_s)
    return {"psds1_macro": result.macro, "psds1": result.psds, "per_class": dict(result.per_class), "variant": {**result.variant, "median_frames": median_frames, **class_set}}


def check_classes(model: SedModel, classes: Sequence[str]) -> None:
    """Raise a DataError unless model and data have the same labels in the same order."""
    if tuple(model.spec.classes) != tuple(classes):
        own, other = model.spec.classes, tuple(classes)
        differing = next((f"{a!r} against {b!r}" for a, b in zip(own, other, strict=False) if a != b), f"{len(own)} against {len(other)} labels")
        raise DataError(f"model and data set have different class lists ({differing}); train on this data set first, or evaluate on the model's own")


def handle_unreadable(batch: Batch, on_error: str, unreadable: list[str]) -> None:
    """Stop at files that could not be read, or note them."""
    if batch.errors and on_error == "raise":
        raise DataError(f"{batch.errors[0]}; data.on_error=skip leaves such files out")
    unreadable.extend(batch.errors)
