"""Recordings to scores to events: files, plots, page, streams."""
