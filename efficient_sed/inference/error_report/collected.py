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
from efficient_sed.tuning.scores import TunedScores

TUNED, UNTUNED = "with tuned post-processing", "without tuned post-processing"


@dataclass(frozen=True)
class ErrorReport:
    """What page is wanted."""

    output: Path
    """File that ends in .html."""
    title: str = ""
    """Model and data."""
    max_errors: int = MAX_ERRORS
    """That can be played."""

    def write(self, collected: ClipScores, config: EvaluationConfig) -> None:
        """Write it, with the PSDS that was computed along: under tuned post-processing, as are the events, if there is.

        Args:
            collected: With kept scores.
            config: Its collars tell which detected events count as found.
        """
        truth, scores = collected.events_and_scores()
        grid, tuned = collected.dataset.grid, collected.tuned
        if not isinstance(tuned, TunedScores):
            metrics, how, about = collected.metrics, Postprocessing.untuned(collected.median_frames), UNTUNED
        else:
            metrics, how, about = tuned.metrics.metrics, tuned.metrics.postprocessing, TUNED
        psds = (metric for metric in metrics if isinstance(metric, PsdsMetric))
        write_error_report(
            self.output,
            collected.clips(),
            truth,
            {clip: how.events.apply(array, grid.hop_s) for clip, array in scores.items()},
            how.thresholds or [DEFAULT_THRESHOLD] * len(collected.classes),
            collected.classes,
            grid,
            psds=next((metric.back_end.compute() for metric in psds), None),
            collar=Collar(config.collar_s, config.offset_share),
            title=self.title,
            postprocessing=about,
            max_errors=self.max_errors,
        )
