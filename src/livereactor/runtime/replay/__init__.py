"""A Session run again: what was done to its model is kept beside its Recording, and `livereactor replay` does it."""
