"""The coordinator's HTTP routes, one file a subject: parse, call, answer."""
