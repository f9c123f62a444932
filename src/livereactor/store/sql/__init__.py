"""The store port on SQLite and Postgres."""
