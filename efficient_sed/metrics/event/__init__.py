"""Event-based metrics."""

from efficient_sed.metrics.event.hear import OnsetScores as OnsetScores
from efficient_sed.metrics.event.metric import BestEventScores as BestEventScores
from efficient_sed.metrics.event.metric import CollarCounts as CollarCounts
