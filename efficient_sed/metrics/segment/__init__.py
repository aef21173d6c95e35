"""Segment-based metrics."""

from efficient_sed.metrics.segment.metric import SegmentScores as SegmentScores
