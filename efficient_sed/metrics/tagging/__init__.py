"""Metrics of clip tagging."""

from efficient_sed.metrics.tagging.metric import TaggingScores as TaggingScores
