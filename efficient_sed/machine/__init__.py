"""The machine: environment, memory, processes, progress."""
