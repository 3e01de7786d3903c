"""Workers on other machines: who they are, what they can run, and which rows each of them holds."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_CLAIMED = ("files", "windows", "redos")


def upgrade() -> None:
    """Add a table and columns; columns have defaults, so that an older program goes on writing its rows."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("engines", sa.Text(), nullable=False),
        sa.Column("queues", sa.Text(), nullable=False),
        sa.Column("lease_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
    )
    for table in _CLAIMED:
        op.add_column(table, sa.Column("worker", sa.Text(), nullable=False, server_default=""))
    for table in ("files", "windows"):
        op.add_column(table, sa.Column("queue", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_windows_claim", "windows", ["state", "queue", "tag_ms"])
    op.create_index("ix_windows_express", "windows", ["state", "express", "queue", "tag_ms"])
