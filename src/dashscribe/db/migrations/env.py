"""Runs the migrations on the connection that ``open_database`` hands over, inside its transaction.

A migration only adds: an older program keeps working on a newer schema's tables while servers are replaced.
"""

from __future__ import annotations

from alembic import context

from dashscribe.db import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
