"""Frame-based metrics."""
