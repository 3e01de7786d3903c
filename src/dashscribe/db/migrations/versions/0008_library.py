"""Recordings that people keep, find and edit: titles, what is kept or deleted, edits, the search index, saved words."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BEHIND = sa.text(
    "state || '' IN ('succeeded', 'failed', 'canceled') AND NOT hidden "
    "AND indexed <> (transcript_key || '#' || CAST(revision AS TEXT))"
)
HIDDEN = sa.text("hidden")


def upgrade() -> None:
    """Add columns with defaults, so that an older program goes on writing its rows, and tables beside them."""
    for name in ("title", "edits_key", "indexed"):
        op.add_column("files", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for name in ("kept", "hidden"):
        op.add_column("files", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("files", sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("files", sa.Column("edited_ms", sa.BigInteger(), nullable=True))
    op.create_index("ix_files_behind", "files", ["id"], sqlite_where=BEHIND, postgresql_where=BEHIND)
    op.create_index("ix_files_hidden", "files", ["id"], sqlite_where=HIDDEN, postgresql_where=HIDDEN)
    op.create_table(
        "search_texts",
        sa.Column("file_id", ROW_ID, sa.ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("sentences", sa.LargeBinary(), nullable=False),
        sa.Column("languages", sa.Text(), nullable=False),
    )
    op.create_table(
        "sensitive_words",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("masked", sa.Text(), nullable=False),
        sa.Column("removed", sa.Text(), nullable=False),
        sa.Column("system", sa.Boolean(), nullable=False),
        sa.Column("modified_ms", sa.BigInteger(), nullable=False),
    )
    for statement in _POSTGRESQL if op.get_context().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)


#: What each text holds, for looking it up the other way round; no table of the metadata, since the products differ.
_SQLITE = (
    # ``ascii`` leaves every character beyond ASCII alone, so that what is a word is decided by this program only.
    "CREATE VIRTUAL TABLE search_grams USING fts5(grams, detail=none, tokenize='ascii')",
    # Also for the rows that go with their task, by whichever program.
    "CREATE TRIGGER search_texts_gone AFTER DELETE ON search_texts "
    "BEGIN DELETE FROM search_grams WHERE rowid = old.file_id; END",
)
_POSTGRESQL = (
    'CREATE TABLE search_grams (grams TEXT[] COLLATE "C" NOT NULL, '
    "file_id BIGINT PRIMARY KEY REFERENCES search_texts (file_id) ON DELETE CASCADE)",
    # Without the list of pending entries, which every search would have to read.
    "CREATE INDEX ix_search_grams ON search_grams USING gin (grams) WITH (fastupdate = off)",
    # The rows are found through the index alone: statistics of thousands of words per row would be for nothing.
    "ALTER TABLE search_grams ALTER COLUMN grams SET STATISTICS 0",
    # Read in part or whole, often, and never worth the time of unpacking.
    "ALTER TABLE search_texts ALTER COLUMN folded SET STORAGE EXTERNAL",
    "ALTER TABLE search_texts ALTER COLUMN sentences SET STORAGE EXTERNAL",
)
