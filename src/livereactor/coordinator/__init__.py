"""The coordinator: it checks rights, queues sessions, assigns them to workers, and relays clients' requests."""
