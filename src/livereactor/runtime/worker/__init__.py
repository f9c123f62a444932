"""A worker: the runtime that a coordinator hands sessions to."""
