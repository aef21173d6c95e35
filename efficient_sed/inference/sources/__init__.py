"""Where sound that is still going on comes from, one file a kind."""
