"""Puts programs together: the only place, beside `engine/default.py`, that picks adapters."""
