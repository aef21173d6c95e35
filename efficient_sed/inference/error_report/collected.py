"""The page about the errors of scores that an evaluation collected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.inference.error_report.find import Collar
from efficient_sed.inference.error_report.write import MAX_ERRORS, write_error_report
from efficient_sed.inference.evaluate import ClipScores
from efficient_sed.metrics.psds.metric import PsdsMetric
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD, Postprocessing


@dataclass(frozen=True)
class ErrorReport:
    """What page is wanted."""

    output: Path
    """File that ends in .html."""
    title: str = ""
    """Model and data."""
    max_errors: int = MAX_ERRORS
    """That can be played."""

    def write(self, collected: ClipScores, postprocessing: Postprocessing, config: EvaluationConfig) -> None:
        """Write it, with the PSDS that was computed along.

        Args:
            collected: With kept scores.
            postprocessing: Of the evaluated classes: makes events of the scores.
            config: Its collars tell which detected events count as found.
        """
        truth, scores = collected.events_and_scores()
        grid = collected.dataset.grid
        metrics = (metric for metric in collected.metrics if isinstance(metric, PsdsMetric))
        write_error_report(
            self.output,
            collected.clips(),
            truth,
            {clip: postprocessing.events.apply(array, grid.hop_s) for clip, array in scores.items()},
            postprocessing.thresholds or [DEFAULT_THRESHOLD] * len(collected.classes),
            collected.classes,
            grid,
            psds=next((metric.back_end.compute() for metric in metrics), None),
            collar=Collar(config.collar_s, config.offset_share),
            title=self.title,
            max_errors=self.max_errors,
        )
