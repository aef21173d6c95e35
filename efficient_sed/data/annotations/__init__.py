"""Annotation files, one file a format.

`contract` says what a format declares, `reading` recognises and reads files, `audio_names` finds the recordings that
they are about; `tables` and `event_tables` are what tables have in common.

The readers are our own. crowsetta 5.1 and jams 0.3 read many formats but need pandas (and pandera, or mir_eval and
jsonschema), soundevent 2.10 pydantic, for what is a page of code each; praatio 6.2 is light, but its text of a TextGrid
is ours in twenty lines, and one more dependency would have to be watched.
"""
