"""A moderator at a URL."""
