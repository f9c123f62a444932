"""The coordinator's HTTP service: routes, long polls and what they answer."""
