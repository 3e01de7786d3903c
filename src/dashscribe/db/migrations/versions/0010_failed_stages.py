"""Which late stages of a file failed, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add a column with a default, so that an older program goes on writing its rows."""
    op.add_column("files", sa.Column("failed_stages", sa.Text(), nullable=False, server_default=""))
