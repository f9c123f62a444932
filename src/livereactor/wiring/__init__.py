"""Puts programs together: the only place, besides `engine/default.py`, that picks adapters."""
