"""Arrow tables lent to a connection under a name, for as long as a block lasts."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@contextmanager
def lent(connection: "DuckDBPyConnection", relations: Mapping[str, str | pa.Table]) -> Iterator[dict[str, str]]:
    """Names under which the relations can be read: their own, or a passing one for an Arrow table."""
    names = {}
    with ExitStack() as stack:
        for role, relation in relations.items():
            if isinstance(relation, str):
                names[role] = relation
                continue
            names[role] = f"lent {role}"
            connection.register(names[role], relation)
            stack.callback(connection.unregister, names[role])
        yield names
