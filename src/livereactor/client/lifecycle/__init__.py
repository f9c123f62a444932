"""Pure machines of a client's connection: it comes, is lost and comes back."""
