"""Runs the revisions of the control database on the connection that is handed over, inside its transaction."""

from alembic import context

from warehouse.control_tables import ControlTable

context.configure(
    connection=context.config.attributes["connection"], target_metadata=ControlTable.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
