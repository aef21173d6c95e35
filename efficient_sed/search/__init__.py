"""Search for the models that score best within a budget of MACs and parameters."""
