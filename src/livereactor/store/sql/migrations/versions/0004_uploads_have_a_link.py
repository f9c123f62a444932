"""Uploads have a link: the share link that their client came by, which may not reserve all of a session's bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column `link` to the uploads of schema 0003."""
    op.add_column("uploads", sa.Column("link", sa.Text(), nullable=False, server_default=""))
