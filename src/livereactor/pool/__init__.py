"""Where workers come from: one port, one adapter for each kind of place."""
