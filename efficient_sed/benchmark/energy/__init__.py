"""Meters of energy, one a file, and what reads them while something runs."""
