"""Post-processing chosen on validation scores."""
