"""Counts of failures: each script breaks things at random, checks the outcome and prints one table."""
