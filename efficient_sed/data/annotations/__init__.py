"""Annotation files: one file a format."""
