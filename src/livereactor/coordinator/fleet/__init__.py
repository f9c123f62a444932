"""Worker processes: how many of each model, and when to start and stop them."""
