"""Callbacks for finished tasks: who is told, what, and how that went; the keys that sign it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add tables and columns; columns have defaults, so that an older program goes on writing its rows."""
    for column in ("base_url", "time_zone"):
        op.add_column("tasks", sa.Column(column, sa.Text(), nullable=False, server_default=""))
    _targets()
    _events()
    op.create_table(
        "callback_keys",
        sa.Column("fingerprint", sa.Text(), primary_key=True),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("private_key", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
    )


def _targets() -> None:
    texts = ("owner", "kind", "url", "name", "models", "statuses", "token", "policy", "signature")
    op.create_table(
        "callback_targets",
        sa.Column("id", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("dead_letters", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("served_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_callback_targets_owner", "callback_targets", ["owner", "created_ms"])


def _events() -> None:
    op.create_table(
        "callback_events",
        sa.Column("id", sa.Text(), primary_key=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("task_id", "owner", "model", "status", "base_url", "body")
        ),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_callback_events_task", "callback_events", ["task_id"])
    op.create_index("ix_callback_events_created", "callback_events", ["created_ms"])
    op.create_table(
        "callback_deliveries",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("event_id", sa.Text(), sa.ForeignKey("callback_events.id", ondelete="CASCADE"), nullable=False),
        sa.Column("target_id", sa.Text(), sa.ForeignKey("callback_targets.id", ondelete="CASCADE"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("tried_ms", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("event_id", "target_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_callback_deliveries_queue", "callback_deliveries", ["target_id", "state", "due_ms"])
    op.create_index("ix_callback_deliveries_state", "callback_deliveries", ["state", "due_ms"])
