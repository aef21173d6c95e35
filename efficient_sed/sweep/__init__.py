"""Grids of runs: expanded and validated before anything starts, then launched."""
