"""Losses, learning rates, the LightningModule, and the run that ties them together."""
