"""A model's false alarms on recordings without events, beside the scores of a data set."""

from __future__ import annotations

from typing import Any

from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.inference.evaluate import ClipScores, evaluated, score_windows
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.metrics.contracts import TUNED
from efficient_sed.metrics.negatives import FalseAlarms
from efficient_sed.models.sed import SedModel
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.tuning.clips import ScoredClip


class TunedAlarms:
    """Counts false alarms after tuned post-processing.

    Args:
        metric: With the thresholds of the post-processing.
        postprocessing: Of the evaluated classes.
        hop_s: Seconds of a frame.
    """

    def __init__(self, metric: FalseAlarms, postprocessing: Postprocessing, hop_s: float) -> None:
        self.metric, self._chain, self._hop_s = metric, postprocessing.events, hop_s

    def update(self, clip: ScoredClip) -> None:
        """Take in a recording with unfiltered scores."""
        self.metric.update(clip.id, self._chain.apply(clip.scores, self._hop_s), (), clip.duration_s)


def score_negatives(
    model: SedModel | ExportedModel,
    dataset: EvaluationWindows,
    *,
    median_frames: int,
    batch_size: int,
    num_workers: int,
    on_error: str,
    postprocessing: Postprocessing | None = None,
) -> dict[str, Any]:
    """Entries of a result: false alarms an hour without and, where there is any, with tuned post-processing.

    Args:
        model: What scores.
        dataset: Windows of the recordings.
        median_frames: Window of the filter without tuning, in frames.
        batch_size: As for `evaluate_model`, as the next two.
        num_workers: Processes that decode.
        on_error: What an unreadable file does.
        postprocessing: Tuned, of the evaluated classes; default None, there is none.

    Raises:
        DataError: If a file cannot be read and `on_error` is not "skip".
    """
    classes, _ = evaluated(dataset)
    plain, tuned = FalseAlarms(classes), None
    if postprocessing is not None:
        metric = FalseAlarms(classes, postprocessing.thresholds)
        tuned = TunedAlarms(metric, postprocessing, model.grid.hop_s)
    collected = ClipScores(dataset, [plain], median_frames=median_frames, tuned=tuned)
    unreadable = score_windows(model, collected, batch_size, num_workers, on_error)
    entries = plain.metrics()
    entries["negatives"]["unreadable"] = sorted(set(unreadable))
    if tuned is not None:
        entries |= {f"{key}{TUNED}": value for key, value in tuned.metric.metrics().items()}
    return entries
