"""Configuration: dataclasses that validate themselves, and the one file that composes them from presets and overrides."""
