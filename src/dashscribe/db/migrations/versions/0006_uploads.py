"""Uploads that several machines add to: who does so now, and in which pieces they lie in the store."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a table and columns with defaults, so that an older program goes on writing its rows."""
    for name in ("claim", "locked_until_ms"):
        op.add_column("uploads", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "upload_pieces",
        sa.Column("upload", sa.Text(), sa.ForeignKey("uploads.key", ondelete="CASCADE"), primary_key=True),
        sa.Column("begin", sa.BigInteger(), primary_key=True),
        sa.Column("claim", sa.BigInteger(), nullable=False),
    )
