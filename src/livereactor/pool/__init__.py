"""Worker processes: one port, one adapter for each kind of place that they run on."""
