"""Losses, optimiser, LightningModule, callbacks, and the training that uses them."""
