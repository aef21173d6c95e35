"""Scores, ground truth and lengths of clips as others write them: tables in files or in memory."""
