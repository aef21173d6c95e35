"""Metrics of clip tagging."""
