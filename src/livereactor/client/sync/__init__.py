"""`SyncReactor`: the same client without an event loop."""
