"""Polyphonic sound detection score (PSDS)."""
