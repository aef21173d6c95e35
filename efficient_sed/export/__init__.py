"""Models for other run times: making the files, and running them without PyTorch."""
