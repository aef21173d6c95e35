"""Registered data sets, one file each."""
