"""Where the coordinator keeps what must survive it: one port, one schema, SQLite and Postgres."""
