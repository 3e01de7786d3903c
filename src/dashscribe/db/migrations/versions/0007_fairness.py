"""How far an owner's windows are in the one order, how much is in the queue, in which trace a task was submitted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


OPEN = sa.text("ended_ms IS NULL")


def upgrade() -> None:
    """Add columns with defaults, so that an older program goes on writing its rows."""
    op.add_column("owners", sa.Column("window_tag_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("traceparent", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_tasks_open", "tasks", ["owner", "open_files"], sqlite_where=OPEN, postgresql_where=OPEN)
