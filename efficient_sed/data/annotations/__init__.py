"""Annotation files, one file a format; `contract` says what a format declares, `tables` reads tables with a header."""
