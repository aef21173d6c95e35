"""Models for other run times: one file a target in `targets/`, what checks a file, and fewer bits."""
