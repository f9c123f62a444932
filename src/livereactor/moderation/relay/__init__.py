"""A moderator that a worker reaches through its coordinator."""
