"""Running a model: its thread, its step loop, its commands and its reload."""
