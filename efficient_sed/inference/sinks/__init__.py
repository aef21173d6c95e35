"""Where events of sound that is still going on go to, one file a kind."""
