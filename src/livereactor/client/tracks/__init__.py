"""Tracks: what a client receives and sends."""
