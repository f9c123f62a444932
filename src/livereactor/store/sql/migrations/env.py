"""The environment that alembic runs: our tables over a connection that `store/sql/store.py` passes on."""

from __future__ import annotations

from alembic import context

from livereactor.store.sql.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
