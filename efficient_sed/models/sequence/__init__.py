"""Sequence heads, one a file. A file dropped in here is a new head: importing it registers its name."""
