"""The formats that models are exported to: one file each."""
