"""Launchers of a sweep, one file each."""
