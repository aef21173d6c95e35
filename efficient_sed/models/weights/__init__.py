"""Trained weights: cards, checkpoints, download, conversion, initial weights."""
