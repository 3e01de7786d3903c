"""What clients hand in and may use: temporary keys, quotas, uploads, hotword lists; usage is counted by key."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables; columns have defaults, so that an older program goes on writing its rows."""
    op.add_column("keys", sa.Column("quota_ms", sa.BigInteger(), nullable=True))
    op.add_column("tasks", sa.Column("no_oss", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_tokens_expires", "tokens", ["expires_ms"])
    op.create_table(
        "uploads",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_uploads_owner", "uploads", ["owner", "created_ms"])
    op.create_index("ix_uploads_created", "uploads", ["created_ms"])
    op.create_table(
        "hotword_lists",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target_model", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("modified_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hotword_lists_owner", "hotword_lists", ["owner", "kind", "created_ms"])
    _count_usage_by_key()


def _count_usage_by_key() -> None:
    """A key column within the primary key needs a new table; what was used so far belongs to no key."""
    op.create_table(
        "usage_by_key",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "owner", "key_id", "model"),
    )
    op.execute(
        "INSERT INTO usage_by_key (day, owner, model, files, duration_ms) "
        "SELECT day, owner, model, files, duration_ms FROM usage"
    )
    op.drop_table("usage")
    op.rename_table("usage_by_key", "usage")
