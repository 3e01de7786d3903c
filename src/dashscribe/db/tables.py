"""The tables: what is to be done, what was done, and who may ask for it. Times are epoch milliseconds.

Rows hold keys, sizes and checksums of what lies in the store, never audio or transcripts; only the search index holds
the words that recordings are found by. The tables are the only job list: ``files.state`` and ``windows.state`` say what
is to be claimed, in order of ``tag_ms``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from dashscribe.db.columns import ROW_ID, added_flag, added_number, added_string, amount, flag, number, state, string
from dashscribe.db.states import DeliveryState as DeliveryState
from dashscribe.db.states import FileState as FileState
from dashscribe.db.states import Status as Status
from dashscribe.db.states import WindowState as WindowState
from dashscribe.db.states import status_of as status_of

#: The migration that makes exactly these tables; ``open_database`` compares it with what the database says.
REVISION = "0010"

metadata = MetaData()

_OPEN = text("ended_ms IS NULL")
_HIDDEN = text("hidden")

#: What holds of files that the search index does not know as they are now. ``indexed`` is compared with what the text
#: is made from, so that whoever changes that, older programs too, makes the file known as behind. With ``|| ''``,
#: since SQLite would rather go through all files of these states than through the index that is just this.
BEHIND = text(
    "state || '' IN ('succeeded', 'failed', 'canceled') AND NOT hidden "
    "AND indexed <> (transcript_key || '#' || CAST(revision AS TEXT))"
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),  # SHA-256 of the key, which itself is stored nowhere
    Column("hint", Text, nullable=False),  # its last characters, so that a person can tell keys apart
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("quota_ms", BigInteger),  # sound per calendar month (UTC), NULL for no limit
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", Text, primary_key=True),  # SHA-256 of the temporary key
    Column("key_id", Text, nullable=False),  # of the key that asked for it
    Column("owner", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_tokens_expires", "expires_ms"),
)

owners = Table(
    "owners",
    metadata,
    Column("name", Text, primary_key=True),
    Column("tag_ms", BigInteger, nullable=False),  # virtual time up to which this owner's files are queued
    number("weight", 1),
    # the same of the windows that were cut; a database of an older program has none
    Column("window_tag_ms", BigInteger, nullable=False, default=0, server_default="0"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),  # SHA-256 of what was asked for
    Column("task_id", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("options", Text, nullable=False),  # JSON of types.Options
    Column("notes", Text, nullable=False),  # JSON array of strings
    state("status", Status),
    Column("tag_ms", BigInteger, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("open_files", Integer, nullable=False),  # files that have not ended; 0 ends the task
    Column("submitted_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    string("code"),
    string("message"),
    flag("no_oss"),  # oss:// sources are refused: the call did not ask for them to be resolved
    flag("stripped"),  # source and transcript are gone, the result still answers
    flag("removed"),  # past its time: nobody sees it any more, its blobs are being deleted
    added_string("retry_of"),  # the task whose files these are
    added_string("base_url"),  # what URLs that are told of it begin with, as its submit call was told
    added_string("time_zone"),  # of the times that are told of it without one
    added_string("traceparent"),  # W3C trace context of the submit call, which its steps go on with
    Index("ix_tasks_owner", "owner", "submitted_ms"),
    Index("ix_tasks_status", "status", "tag_ms"),
    Index("ix_tasks_ended", "ended_ms"),
    # how much an owner, or everybody, has in the queue: small, whatever has ended
    Index("ix_tasks_open", "owner", "open_files", sqlite_where=_OPEN, postgresql_where=_OPEN),
)

files = Table(
    "files",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("url", Text, nullable=False),
    state("state", FileState),
    # when and where
    Column("tag_ms", BigInteger, nullable=False),
    amount("due_ms"),  # not claimed before this instant
    flag("express"),
    number("claim"),  # raised by every claim: a writer whose claim is no longer the row's changes nothing
    added_string("worker"),  # who holds it
    added_string("queue"),  # which workers can go on with it, by what they publish; empty for any
    number("failures"),
    number("interrupted"),
    # what came of fetching
    string("engine"),
    string("engine_version"),
    string("source_key"),
    amount("source_bytes"),
    string("source_sha256"),
    string("media"),  # JSON of types.Media
    # what came of cutting
    number("generation"),  # raised by every cut; a window of another generation is not counted in ``open``
    number("open"),  # windows of this generation that are not done
    amount("speech_ms"),  # in the windows cut so far
    amount("recognized_ms"),  # of it, in windows that are done
    string("cut"),  # JSON of hosts.protocol.CutEnd
    # how it ended
    string("result_key"),
    amount("result_bytes"),
    string("transcript_key"),
    added_string("heard_key"),  # what a stage is done again from
    amount("duration_ms"),  # sound that was worked on, over all its channels
    string("ledger"),  # JSON: milliseconds by fate, where there is no result to say so
    string("notes"),  # JSON array of strings
    added_string("failed_stages"),  # JSON array of types.FailedStage; empty for none
    string("code"),
    string("message"),
    # what its owner makes of it
    added_string("title"),  # given by hand; empty for what its URL says
    added_flag("kept"),  # until it is deleted, however old
    added_flag("hidden"),  # deleted: nobody sees it any more, its blobs are being deleted
    added_string("edits_key"),  # the transcript as it was edited last; empty for none
    added_number("revision"),  # raised by every edit; 0 for the original
    Column("edited_ms", BigInteger),
    # of what the search index holds: TRANSCRIPT_KEY#REVISION, empty to have it made anew; of a hidden file ``erased``
    # once its blobs are gone
    added_string("indexed"),
    UniqueConstraint("task_id", "number"),
    Index("ix_files_behind", "id", sqlite_where=BEHIND, postgresql_where=BEHIND),
    Index("ix_files_hidden", "id", sqlite_where=_HIDDEN, postgresql_where=_HIDDEN),
    Index("ix_files_queue", "state", "tag_ms"),
    Index("ix_files_express", "state", "express", "tag_ms"),
    sqlite_autoincrement=True,  # a late writer must never meet another row under its id
)

#: What recordings are found by. What words are looked up in is made of it, by each product in its own form:
#: ``search_words`` on SQLite, ``search_grams`` on PostgreSQL.
search_texts = Table(
    "search_texts",
    metadata,
    Column("file_id", ROW_ID, ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("folded", Text, nullable=False),  # lines of words as they are compared: owner and title, then each sentence
    Column("sentences", LargeBinary, nullable=False),  # zlib of a JSON array of search.Line
    Column("languages", Text, nullable=False),  # JSON array of the codes of its sentences, the most spoken first
)

sensitive_words = Table(
    "sensitive_words",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("masked", Text, nullable=False),  # JSON array of strings
    Column("removed", Text, nullable=False),  # the same
    Column("system", Boolean, nullable=False),  # whether the operator's list counts, too
    Column("modified_ms", BigInteger, nullable=False),
)

redos = Table(
    "redos",
    metadata,
    Column("file_id", ROW_ID, ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("stage", Text, nullable=False),  # one of enrich.StageName, the latest that was asked for
    Column("speaker_count", Integer),
    state("state", Status),
    Column("asked_ms", BigInteger, nullable=False),
    amount("due_ms"),
    number("claim"),  # raised by every claim, and never lowered: blobs that a claim makes are named by it
    added_string("worker"),
    number("failures"),
    number("interrupted"),
    amount("done_ms"),  # of the sound that has to be listened to again
    string("message"),  # why it failed
    Index("ix_redos_queue", "state", "asked_ms"),
)

windows = Table(
    "windows",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("file_id", ROW_ID, ForeignKey("files.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    state("state", WindowState),
    Column("tag_ms", BigInteger, nullable=False),
    amount("due_ms"),
    flag("express"),
    number("claim"),
    added_string("worker"),
    added_string("queue"),
    number("failures"),
    number("interrupted"),
    Column("spans", Text, nullable=False),  # JSON array of types.Span
    Column("speech_ms", BigInteger, nullable=False),
    Column("audio_key", Text, nullable=False),
    Column("audio_bytes", BigInteger, nullable=False),
    Column("audio_sha256", Text, nullable=False),
    string("result_key"),
    amount("result_bytes"),
    string("reason"),  # why it was given up
    UniqueConstraint("file_id", "channel", "number"),
    Index("ix_windows_queue", "state", "tag_ms"),
    Index("ix_windows_claim", "state", "queue", "tag_ms"),
    Index("ix_windows_express", "state", "express", "queue", "tag_ms"),
    sqlite_autoincrement=True,
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),  # of this program
    Column("slots", Integer, nullable=False),
    Column("engines", Text, nullable=False),  # JSON array of engines.EngineInfo
    Column("queues", Text, nullable=False),  # JSON array of what ``queue`` of its rows may be
    Column("lease_ms", BigInteger, nullable=False),  # after which silence its rows are free for others
    Column("started_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),  # by the database's clock
)

usage = Table(
    "usage",
    metadata,
    Column("day", Text, primary_key=True),  # UTC, YYYY-MM-DD
    Column("owner", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    number("files"),
    amount("duration_ms"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("key", Text, primary_key=True),  # what follows oss://
    Column("owner", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("name", Text, nullable=False),  # as the client called the file
    Column("length", BigInteger),  # what a resumable upload announced, NULL while it is not known
    amount("received"),
    flag("complete"),
    string("sha256"),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),  # when a submit last named it: expiry keeps away for a while
    flag("removed"),  # past its time: nobody sees it any more, its blob is being deleted
    added_number("claim"),  # raised by everybody who begins to add to it: a writer of an earlier one changes nothing
    added_number("locked_until_ms"),  # by the database's clock; 0 for nobody
    Index("ix_uploads_owner", "owner", "created_ms"),
    Index("ix_uploads_created", "created_ms"),
)

upload_pieces = Table(
    "upload_pieces",
    metadata,
    Column("upload", Text, ForeignKey("uploads.key", ondelete="CASCADE"), primary_key=True),
    Column("begin", BigInteger, primary_key=True),  # which of the upload's bytes is the piece's first
    Column("claim", BigInteger, nullable=False),  # of the writer who put it, in its blob's key
)

hotword_lists = Table(
    "hotword_lists",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("kind", Text, nullable=False),  # vocabulary (second generation) or phrases (first)
    Column("target_model", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    string("job_id"),  # of the call that wrote a phrase list last
    Column("words", Text, nullable=False),  # JSON array of types.Hotword
    Column("created_ms", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    Index("ix_hotword_lists_owner", "owner", "kind", "created_ms"),
)

callback_targets = Table(
    "callback_targets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),  # whose tasks it is told of; empty for everybody's
    Column("kind", Text, nullable=False),  # http or rocketmq
    Column("url", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("models", Text, nullable=False),  # JSON array of names; empty for all
    Column("statuses", Text, nullable=False),  # JSON array of final statuses; empty for all
    Column("token", Text, nullable=False),  # sent along, so that it cannot be a digest only
    Column("policy", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("dead_letters", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("origin", Text, nullable=False),  # api, or settings for one that the settings name
    Column("created_ms", BigInteger, nullable=False),
    flag("removed"),  # nothing is sent any more; the row stays as long as deliveries name it
    number("failures"),  # tries in a row that failed
    amount("served_ms"),  # when one of its deliveries was last claimed
    Index("ix_callback_targets_owner", "owner", "created_ms"),
)

callback_events = Table(
    "callback_events",
    metadata,
    Column("id", Text, primary_key=True),  # of the event itself, the same in every try
    Column("task_id", Text, nullable=False),  # no reference: dead letters outlive tasks; empty for a test
    Column("owner", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON, as it is sent
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_callback_events_task", "task_id"),
    Index("ix_callback_events_created", "created_ms"),
)

callback_deliveries = Table(
    "callback_deliveries",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("event_id", Text, ForeignKey("callback_events.id", ondelete="CASCADE"), nullable=False),
    Column("target_id", Text, ForeignKey("callback_targets.id", ondelete="CASCADE"), nullable=False),
    state("state", DeliveryState),
    amount("due_ms"),
    number("claim"),
    Column("worker", Text, nullable=False, default=""),
    number("attempts"),  # in all
    number("tries"),  # since it was stored or last replayed: what the policy counts
    Column("http_status", Integer),  # of the last answer
    string("response"),  # the first bytes of it
    string("error"),  # why the last try failed
    Column("created_ms", BigInteger, nullable=False),
    Column("tried_ms", BigInteger),  # when the last try ended
    UniqueConstraint("event_id", "target_id"),
    Index("ix_callback_deliveries_queue", "target_id", "state", "due_ms"),
    Index("ix_callback_deliveries_state", "state", "due_ms"),
    sqlite_autoincrement=True,
)

callback_keys = Table(
    "callback_keys",
    metadata,
    Column("fingerprint", Text, primary_key=True),  # SHA-256 of the certificate, hexadecimal
    Column("certificate", Text, nullable=False),  # PEM
    Column("private_key", Text, nullable=False),  # PEM; empty once another key signs
    Column("created_ms", BigInteger, nullable=False),
    Column("retired_ms", BigInteger),
)
