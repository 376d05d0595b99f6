"""Runs the revisions on the connection that the store hands over; the store's transaction surrounds them."""

from alembic import context
from sqlmodel import SQLModel

import warehouse.feedback_tables
import warehouse.tables  # noqa: F401  (they fill the metadata)

context.configure(
    connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
