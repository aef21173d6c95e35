"""A model's scores on a data set, and the metrics of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import Batch, EvaluationWindows, collate
from efficient_sed.data.events import Clip, Event, hard_events
from efficient_sed.data.score_checks import check_scores
from efficient_sed.data.spelling import canonical
from efficient_sed.data.storage.columns import durations
from efficient_sed.data.windows import join_windows
from efficient_sed.errors import CheckpointError, DataError
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.metrics.contracts import ClipMetric, Setting, create_metrics, join_metrics
from efficient_sed.metrics.event.hear import OnsetPostprocessing, event_metrics
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.median import smooth_scores
from efficient_sed.tuning.clips import ScoredClip, ScoredClips
from efficient_sed.tuning.scores import TunedScores

IGNORED_LOGIT = -100.0  # of a class that a clip is not annotated for
NO_FRAMES = np.empty((0, 0), np.float32)


class SeesScores(Protocol):
    """Takes in clips with their unfiltered scores."""

    def update(self, clip: ScoredClip) -> None:
        """Take in a clip."""


class ClipScores:
    """Puts the scores of windows together, in any order, and hands each clip to the metrics as soon as it is whole.

    Args:
        dataset: What is scored.
        metrics: Those of detection get frame scores after a median over `median_frames`, those of tagging the highest
            clip logits of the clip's windows.
        median_frames: Window of the filter, in frames.
        keeps_scores: Keep the scores of the evaluated classes before the filter; else they are dropped with their clip.
        tuned: Sees the clips, too, for post-processing of its own; default None: there is none.
    """

    def __init__(
        self,
        dataset: EvaluationWindows,
        metrics: Sequence[ClipMetric] = (),
        *,
        median_frames: int = 1,
        keeps_scores: bool = False,
        tuned: SeesScores | None = None,
    ) -> None:
        self.dataset, self.metrics = dataset, list(metrics)
        self.median_frames, self.keeps_scores, self.tuned = median_frames, keeps_scores, tuned
        self.classes, self._columns = evaluated(dataset)
        self._is_masked = any(group.annotated is not None for group in dataset.groups)
        self._needs_frames = keeps_scores or any(metric.task == "detection" for metric in self.metrics)
        self._pieces: dict[int, dict[int, np.ndarray]] = {}  # of clips that are not whole yet, by window
        self._clip_logits: dict[int, np.ndarray] = {}  # of these, too
        self._scores: dict[int, np.ndarray] = {}
        self._whole: set[int] = set()

    def add(self, positions: Tensor, frame_scores: Tensor, clip_logits: Tensor) -> None:
        """Scores (batch, classes, frames) and clip logits (batch, classes) of the windows at `positions`.

        Raises:
            DataError: If a frame score that is needed is NaN or plus infinity; the message names clip, class and frame.
        """
        frames = frame_scores[:, self._columns].float().cpu().numpy()
        logits = clip_logits[:, self._columns].float().cpu().numpy()
        for row, window in enumerate(positions.tolist()):
            clip, cut = self.dataset.windows[window]
            if self._is_masked and (annotated := self.dataset.annotated(clip)) is not None:
                ignored = ~annotated[self._columns].numpy()  # neither found nor missed
                frames[row, ignored], logits[row, ignored] = 0.0, IGNORED_LOGIT
            self._add_logits(clip, logits[row])
            piece = frames[row, :, : cut.last].T.copy() if self._needs_frames else NO_FRAMES
            if self._needs_frames:  # now: cross-fading and smoothing would hide what is no number
                first_frame = round(cut.start_s / self.dataset.grid.hop_s)
                check_scores(f"clip {self.dataset.clips[clip].id!r}", piece, self.classes, first_frame=first_frame)
            self._add_pieces(clip, {window: piece})

    def gather(self) -> None:
        """Take over what the other processes of a distributed run collected; all then hold the same."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        own = (self.metrics, self._pieces, self._clip_logits, self._scores, self._whole)
        torch.distributed.all_gather_object(parts, own)
        self.metrics, self._pieces, self._clip_logits, self._scores, self._whole = parts[0]  # in one order everywhere
        for metrics, pieces, clip_logits, scores, whole in parts[1:]:
            for metric, other in zip(self.metrics, metrics, strict=True):
                metric.merge(other)
            self._scores |= scores
            self._whole |= whole
            for clip, logits in clip_logits.items():
                self._add_logits(clip, logits)
            for clip, windows in pieces.items():
                self._add_pieces(clip, windows)

    def clips(self) -> list[Clip]:
        """Clips all of whose windows were scored, in the data set's order."""
        return [self.dataset.clips[clip] for clip in sorted(self._whole)]

    def events_and_scores(self) -> tuple[dict[str, list[Event]], dict[str, np.ndarray]]:
        """Events and unfiltered scores (frames, classes) of whole clips by their ids, of the evaluated classes.

        Raises:
            RuntimeError: If they were not kept.
        """
        if not self.keeps_scores:
            raise RuntimeError("scores were dropped: ClipScores(…, keeps_scores=True) keeps them")
        return {clip.id: self._events(clip) for clip in self.clips()}, {
            self.dataset.clips[clip].id: self._scores[clip] for clip in sorted(self._whole)
        }

    def _add_logits(self, clip: int, logits: np.ndarray) -> None:
        self._clip_logits[clip] = np.maximum(self._clip_logits[clip], logits) if clip in self._clip_logits else logits

    def _add_pieces(self, index: int, pieces: Mapping[int, np.ndarray]) -> None:
        """Scores (frames, evaluated classes) of a clip's windows; the last one makes the clip whole."""
        known = self._pieces.setdefault(index, {})
        known |= pieces
        windows = self.dataset.windows.numbers(index)
        if len(known) < len(windows):
            return
        clip, events = self.dataset.clips[index], self._events(self.dataset.clips[index])
        self._whole.add(index)
        of_task = {"tagging": self._clip_logits.pop(index)}
        if self._needs_frames:
            cuts = ((self.dataset.windows[window][1], known[window]) for window in windows)
            scores = np.concatenate(list(join_windows(cuts)))
            of_task["detection"] = smooth_scores(scores, self.median_frames)
            if self.keeps_scores:
                self._scores[index] = scores
        del self._pieces[index]
        for metric in self.metrics:
            metric.update(clip.id, of_task[metric.task], events, clip.duration_s)
        if self.tuned is not None:
            self.tuned.update(ScoredClip(clip.id, scores, events, clip.duration_s))

    def _events(self, clip: Clip) -> list[Event]:
        allowed = frozenset(self.classes)
        return [event for event in hard_events(clip) if event.label in allowed]


def evaluated(dataset: EvaluationWindows) -> tuple[list[str], list[int]]:
    """Labels that metrics are taken over, and their columns."""
    columns = [
        column
        for column, label in enumerate(dataset.classes)
        if dataset.evaluated_classes is None or label in dataset.evaluated_classes
    ]
    return [dataset.classes[column] for column in columns], columns


def start_scores(
    dataset: EvaluationWindows,
    task: str,
    config: EvaluationConfig,
    median_frames: int,
    *,
    keeps_scores: bool = False,
    keeps_clips: bool = False,
    postprocessing: Postprocessing | None = None,
) -> ClipScores:
    """Empty scores with the metrics of a task.

    Args:
        dataset: What is scored.
        task: "detection" or "tagging".
        config: Parameters of the metrics.
        median_frames: Window of the filter on frame scores, in frames.
        keeps_scores: For event scores.
        keeps_clips: For confidence intervals.
        postprocessing: Tuned, of the evaluated classes, for metrics that are taken once more; default None: once.

    Raises:
        MissingDependencyError: If the back end of PSDS is not installed.
    """
    classes, _ = evaluated(dataset)
    lengths = durations(dataset.clips).tolist()
    setting = Setting(tuple(classes), lengths, dataset.grid, config, keeps_clips=keeps_clips)
    metrics = create_metrics(task, setting)
    tuned = (
        None if postprocessing is None or task != "detection" else TunedScores(setting, postprocessing, median_frames)
    )
    return ClipScores(dataset, metrics, median_frames=median_frames, keeps_scores=keeps_scores, tuned=tuned)


def collected_event_metrics(
    collected: ClipScores, frame_hop_s: float, postprocessing: OnsetPostprocessing | None = None
) -> dict[str, Any]:
    """Event scores of the evaluated classes.

    Args:
        collected: With kept scores.
        frame_hop_s: Seconds of a frame.
        postprocessing: Default None: the best one of HEAR's grid on these very clips.
    """
    truth, scores = collected.events_and_scores()
    return event_metrics(truth, scores, collected.classes, frame_hop_s, postprocessing)


def evaluate_model(
    model: SedModel | ExportedModel,
    dataset: EvaluationWindows,
    *,
    task: str,
    config: EvaluationConfig,
    median_frames: int,
    batch_size: int,
    num_workers: int,
    on_error: str,
    tuning: EvaluationWindows | None = None,
    folder: Path | None = None,
    postprocessing: Postprocessing | None = None,
    inspect: Callable[[ClipScores], None] | None = None,
) -> dict[str, Any]:
    """Metrics of a task on a data set, with what they were computed on.

    Args:
        model: What scores; of the same classes as the data.
        dataset: Windows of the clips.
        task: "detection" or "tagging".
        config: Parameters of the metrics.
        median_frames: Window of the filter on frame scores, in frames.
        batch_size: Windows a batch of the loader, and on a GPU a forward pass.
        num_workers: Processes that decode.
        on_error: What an unreadable file does: "raise" or "skip".
        tuning: Clips on which the postprocessing of event scores is chosen; default None: no event scores.
        folder: Where PSDS's counts by clip and its picture are written; default None: nowhere.
        postprocessing: Of the evaluated classes, tuned; metrics are taken once more with it. Default None: once.
        inspect: Gets all scores at the end; default None: they are not kept.

    Raises:
        DataError: If a file cannot be read and `on_error` is not "skip".
    """
    keeps_scores = tuning is not None or inspect is not None
    collected = start_scores(
        dataset, task, config, median_frames, keeps_scores=keeps_scores, keeps_clips=True, postprocessing=postprocessing
    )
    unreadable = score_windows(model, collected, batch_size, num_workers, on_error)
    metrics = {
        "coverage": {
            "clips_expected": len(dataset.clips),
            "clips_scored": len(collected.clips()),
            "unreadable": sorted(set(unreadable)),
        },
        **task_metrics(collected, task),
    }
    for metric in collected.metrics:
        metrics |= metric.report(metrics["variant"], folder)
    if isinstance(collected.tuned, TunedScores):
        metrics |= collected.tuned.entries(collected.metrics)
    if tuning is not None:
        tuned = collected
        if tuning.clips != dataset.clips:
            tuned = ClipScores(tuning, keeps_scores=True)
            score_windows(model, tuned, batch_size, num_workers, on_error)
        chosen = OnsetPostprocessing(**collected_event_metrics(tuned, model.grid.hop_s)["postprocessing"])
        metrics |= collected_event_metrics(collected, model.grid.hop_s, chosen)
    if inspect is not None:
        inspect(collected)
    return metrics


def score_clips(
    model: SedModel | ExportedModel, dataset: EvaluationWindows, *, batch_size: int, num_workers: int, on_error: str
) -> ScoredClips:
    """Unfiltered scores of the evaluated classes with their ground truth, to tune post-processing on.

    Args:
        model: What scores; of the same classes as the data.
        dataset: Windows of the clips.
        batch_size: As for `evaluate_model`, as the next two.
        num_workers: Processes that decode.
        on_error: What an unreadable file does.

    Raises:
        DataError: If a file cannot be read and `on_error` is not "skip".
    """
    collected = ClipScores(dataset, keeps_scores=True)
    score_windows(model, collected, batch_size, num_workers, on_error)
    truth, scores = collected.events_and_scores()
    clips = [ScoredClip(clip.id, scores[clip.id], truth[clip.id], clip.duration_s) for clip in collected.clips()]
    return ScoredClips(tuple(collected.classes), dataset.grid, clips)


def score_windows(
    model: SedModel | ExportedModel, collected: ClipScores, batch_size: int, num_workers: int, on_error: str
) -> list[str]:
    """Score all windows into `collected`, and return the messages of files that could not be read."""
    dataset = collected.dataset
    check_classes(model, dataset.classes)
    device = next(model.parameters()).device if isinstance(model, SedModel) else torch.device("cpu")
    unreadable: list[str] = []
    is_pinned = device.type == "cuda"  # so that the next batch is read while the GPU is given this one
    loader: Iterable[Batch] = DataLoader(
        dataset, batch_size, collate_fn=collate, num_workers=num_workers, pin_memory=is_pinned
    )
    score = _torch_scores(model) if isinstance(model, SedModel) else _exported_scores(model)
    with torch.inference_mode():
        for batch in loader:
            handle_unreadable(batch, on_error, unreadable)
            if len(batch.positions) == 0:
                continue
            size = 1 if device.type == "cpu" else batch_size  # so that a CPU's batch never changes a score
            for positions, waveform in zip(
                *(torch.split(x, size) for x in (batch.positions, batch.waveform)), strict=True
            ):
                try:
                    scores = score(waveform.to(device, non_blocking=is_pinned))
                except CheckpointError as error:  # of an exported model, which looks at its scores itself
                    clip, _ = dataset.windows[int(positions[0])]
                    raise CheckpointError(f"clip {dataset.clips[clip].id!r}: {error}") from error
                collected.add(positions, *scores)
    return unreadable


_Scores = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From a waveform (batch, samples) to frame scores (batch, classes, frames) and clip logits (batch, classes)."""


def _torch_scores(model: SedModel) -> _Scores:
    fused = fuse(model.eval())

    def score(waveform: Tensor) -> tuple[Tensor, Tensor]:
        output = fused(fused.frontend(waveform))
        return output.frame_logits.float().sigmoid(), output.clip_logits

    return score


def _exported_scores(model: ExportedModel) -> _Scores:
    def score(waveform: Tensor) -> tuple[Tensor, Tensor]:
        frames, clips = model.score(waveform.numpy())
        return torch.from_numpy(frames), torch.from_numpy(clips).logit(eps=torch.finfo(torch.float32).eps)

    return score


def task_metrics(collected: ClipScores, task: str) -> dict[str, Any]:
    """The metrics of a result, PSDS1 and others for detection, mAP and others for tagging, and their exact variant.

    Raises:
        DataError: If no clip was scored whole.
    """
    if not collected.clips():
        raise DataError(f"nothing to score: of {len(collected.dataset.clips)} clips none could be read")
    metrics = join_metrics(collected.metrics)
    variant = metrics["variant"]
    if task == "detection":
        variant["median_frames"] = collected.median_frames
    if collected.dataset.evaluated_classes is not None:
        variant["num_classes_evaluated"] = len(collected.classes)
    return metrics


def check_classes(model: SedModel | ExportedModel, classes: Sequence[str]) -> None:
    """Raise a DataError unless model and data have the same labels in the same order."""
    own, other = (tuple(map(canonical, labels)) for labels in (model.classes, classes))
    if own != other:
        differing = next(
            (f"{a!r} against {b!r}" for a, b in zip(own, other, strict=False) if a != b),
            f"{len(own)} against {len(other)} labels",
        )
        raise DataError(
            f"model and data set have different class lists ({differing}); "
            "train on this data set first, or evaluate on the model's own"
        )


def handle_unreadable(batch: Batch, on_error: str, unreadable: list[str]) -> None:
    """Stop at files that could not be read, or note them."""
    if batch.errors and on_error == "raise":
        raise DataError(f"{batch.errors[0]}; data.on_error=skip leaves such files out")
    unreadable.extend(batch.errors)
