"""What a client knows of a model: its Commands as methods, and what typed code depends on."""
