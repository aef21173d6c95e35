"""Frame scores to events."""
