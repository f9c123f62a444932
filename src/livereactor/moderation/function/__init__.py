"""A moderator that is a Python function of this process."""
