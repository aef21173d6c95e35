"""Models: parts by name, put together by SedModel."""
