"""Frames and colour, encoding, play-out: no network."""
