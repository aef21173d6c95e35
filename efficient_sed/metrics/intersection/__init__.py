"""Intersection-based F1."""

from efficient_sed.metrics.intersection.metric import IntersectionScores as IntersectionScores
