"""The engine port in memory, for tests and for models without a network."""
