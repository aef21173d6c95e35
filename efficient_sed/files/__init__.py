"""Files: atomic writes, arrays, JSON, packaged folders, pages."""
