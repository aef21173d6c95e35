"""Scores to events, and events to metrics."""
