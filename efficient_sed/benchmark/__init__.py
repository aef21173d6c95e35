"""What a model costs, what it achieves, and the frontier between the two."""
