"""Uploads, Clips and Recordings."""
