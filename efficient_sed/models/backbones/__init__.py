"""Backbones, one architecture a file. Importing a file registers its names."""
