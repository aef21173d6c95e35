"""Segment-based metrics."""
