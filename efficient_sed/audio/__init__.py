"""Sound in: decoding, spectrograms, the grid between seconds and frames, augmentation."""
