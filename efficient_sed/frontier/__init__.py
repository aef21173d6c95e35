"""Results and published tables to a Pareto front, as a picture and a page."""
