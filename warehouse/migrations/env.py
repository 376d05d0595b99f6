"""Runs the revisions on the connection that the store hands over; the store's transaction surrounds them."""

from alembic import context
from sqlmodel import SQLModel

import warehouse.tables  # noqa: F401  (it fills the metadata)

context.configure(
    connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
