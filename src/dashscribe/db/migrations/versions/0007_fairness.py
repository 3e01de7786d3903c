"""How far an owner's windows are in the one order, and in which trace a task was submitted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0004"


def upgrade() -> None:
    """Add columns with defaults, so that an older program goes on writing its rows."""
    op.add_column("owners", sa.Column("window_tag_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("traceparent", sa.Text(), nullable=False, server_default=""))
