"""On SQLite the index knows where words stand, so that phrases are looked up like words; it is made anew."""

from alembic import op

revision = "0009"
down_revision = "0008"

_SQLITE = (
    "DROP TRIGGER search_texts_gone",
    "DROP TABLE search_grams",
    "DELETE FROM search_texts",
    "UPDATE files SET indexed = '' WHERE NOT hidden",
    # The texts themselves lie in ``search_texts`` only. ``ascii`` leaves every character beyond ASCII alone, so that
    # what is a word is decided by this program; the end of a line is one, so that no phrase goes on beyond it.
    "CREATE VIRTUAL TABLE search_words USING fts5(folded, content='search_texts', content_rowid='file_id', "
    "columnsize=0, tokenize=\"ascii tokenchars '\n'\")",
    "CREATE TRIGGER search_texts_new AFTER INSERT ON search_texts "
    "BEGIN INSERT INTO search_words (rowid, folded) VALUES (new.file_id, new.folded); END",
    # Also for the rows that go with their task, by whichever program.
    "CREATE TRIGGER search_texts_gone AFTER DELETE ON search_texts "
    "BEGIN INSERT INTO search_words (search_words, rowid, folded) VALUES ('delete', old.file_id, old.folded); END",
)


def upgrade() -> None:
    """PostgreSQL goes on with its index of grams."""
    if op.get_context().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.execute(statement)
