"""Compose a configuration, run it, and compare results."""
