"""How a client's connection comes, goes and comes back: pure machines."""
