"""Event-based metrics."""
