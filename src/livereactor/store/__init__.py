"""Facts that must survive the coordinator: one port, one schema, SQLite and Postgres."""
