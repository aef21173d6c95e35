"""Augmentations of waveforms, spectrograms and time."""
