"""Data sets: clips with their events. One data set a file; importing it registers its name."""
