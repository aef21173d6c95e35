"""Error analysis: what a model missed and what it heard wrongly, as one page to look at and listen to."""
