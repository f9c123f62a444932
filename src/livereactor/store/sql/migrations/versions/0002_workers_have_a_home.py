"""Workers have a home: the coordinator that holds their socket.

Like every migration but the first it only adds, and what it adds has a default: coordinators of the version before go
on writing to these tables while they are replaced one after another.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column `home` to the workers of schema 0001."""
    op.add_column("workers", sa.Column("home", sa.Text(), nullable=False, server_default=""))
