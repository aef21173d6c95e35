"""Scenes mixed from isolated sounds: what `data=soundscapes` and `data=synthetic` share."""
