"""Runs as files: one Parquet file for each policy and seed, a row for each day; it appears whole or not at all."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from allot import WorkspaceError
from sims.people import Floats, Ints
from sims.play import Played
from warehouse.workspace import write_atomically

_SETTINGS: Final = b"allot.simulation"
_DAYS: Final = pa.schema(
    [
        ("day", pa.int32()),
        ("decisions", pa.int64()),
        ("contacts", pa.list_(pa.int64())),
        ("reward", pa.float64()),
        ("spend", pa.float64()),
        ("budget", pa.float64()),
        ("fullest", pa.float64()),
        ("propensity", pa.list_(pa.float32())),
        ("prices", pa.map_(pa.string(), pa.float64())),
        ("status", pa.string()),
        ("seconds", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run; (days,) each, see `Played`. `contacts` (days, k)."""

    policy: str
    seed: int
    offers: tuple[str, ...]
    decisions: Ints
    contacts: Ints
    reward: Floats
    spend: Floats
    budget: Floats
    fullest: Floats
    seconds: Floats
    status: tuple[str, ...]


def path_of(folder: Path, world: str, policy: str, seed: int) -> Path:
    """Where a run lies: world, policy with its slash as a dash, seed."""
    return folder / world / policy.replace("/", "-") / f"{seed}.parquet"


def write_run(path: Path, days: Iterable[Played], named: dict[str, Any]) -> None:
    """Write a run under its name once it is over.

    Args:
        path: its folder is made where it is missing.
        days: in their order.
        named: `settings`, `policy`, `seed` and the offers' ids, kept beside the days.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        {name: getattr(day, name) for name in _DAYS.names if name != "prices"} | {"prices": list(day.prices.items())}
        for day in days
    ]
    schema = _DAYS.with_metadata({_SETTINGS: json.dumps(named)})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def settings_of(path: Path) -> dict[str, Any] | None:
    """What a finished run was played with; None where there is no such file.

    Raises:
        WorkspaceError: the file is no run.
    """
    if not path.exists():
        return None
    return dict(_named(path)["settings"])


def read_run(path: Path) -> Run:
    """A finished run.

    Raises:
        WorkspaceError: the file is no run.
    """
    named = _named(path)
    columns = [name for name in _DAYS.names if name not in ("propensity", "prices", "day")]
    table = pq.read_table(path, columns=columns)
    flat = {name: table[name].to_numpy() for name in columns if name not in ("contacts", "status")}
    contacts = np.array(table["contacts"].to_pylist(), np.int64)
    return Run(
        policy=named["policy"],
        seed=named["seed"],
        offers=tuple(named["offers"]),
        contacts=contacts,
        status=tuple(table["status"].to_pylist()),
        **flat,
    )


def _named(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((pq.read_schema(path).metadata or {})[_SETTINGS])
    except (pa.ArrowInvalid, KeyError) as error:
        remedy = "Remove it, or give another folder."
        raise WorkspaceError("the file is no finished run.", where=str(path), remedy=remedy) from error
    return dict(found)
