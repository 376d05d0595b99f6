"""Runs as files: one Parquet file for each policy and seed, a row for each day; it appears whole or not at all."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from allot import WorkspaceError
from sims.claims import Claims
from sims.judged import Judged
from sims.people import Floats, Ints
from sims.play import Played
from warehouse.workspace import write_atomically

_SETTINGS: Final = b"allot.simulation"
_CLAIMS: Final = ("beliefs", "inside", "chances")
_JUDGED: Final = pa.struct(
    [
        ("target", pa.string()),
        ("rows", pa.int64()),
        ("verdict", pa.string()),
        *((name, pa.float64()) for name in ("value", "std_error", "low", "high", "truth")),
    ]
)
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
        *((name, pa.list_(pa.list_(pa.float64()))) for name in _CLAIMS),
        ("judged", pa.list_(_JUDGED)),
    ]
)
_PLAIN: Final = tuple(
    name for name in _DAYS.names if name not in ("contacts", "propensity", "prices", "judged", *_CLAIMS)
)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run; (days,) each, see `Played`. `contacts` (days, k); `claims` and `judged` of all days."""

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
    prices: tuple[dict[str, float], ...]
    claims: Claims | None
    judged: tuple[Judged, ...]


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
    rows = list(days)
    columns = {name: pa.array([getattr(day, name) for day in rows], _DAYS.field(name).type) for name in _PLAIN}
    columns["contacts"] = _lists([day.contacts for day in rows], pa.int64())
    columns["propensity"] = _lists([day.propensity for day in rows], pa.float32())
    columns["prices"] = pa.array([list(day.prices.items()) for day in rows], _DAYS.field("prices").type)
    for name in _CLAIMS:
        sums = [None if day.claims is None else getattr(day.claims, name).tolist() for day in rows]
        columns[name] = pa.array(sums, _DAYS.field(name).type)
    columns["judged"] = pa.array([[asdict(one) for one in day.judged] for day in rows], _DAYS.field("judged").type)
    schema = _DAYS.with_metadata({_SETTINGS: json.dumps(named)})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema), sink, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def _lists(values: list[NDArray[Any] | None], kind: pa.DataType) -> pa.ListArray:
    """A list for each day, null where there is none; not by way of Python numbers, of which there would be millions."""
    ends = np.cumsum([0, *(0 if value is None else len(value) for value in values)])
    flat = np.concatenate([np.empty(0), *(value for value in values if value is not None)])
    missing = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, kind), mask=missing)


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
    table = pq.read_table(path, columns=[name for name in _DAYS.names if name != "propensity"])
    flat = {name: table[name].to_numpy() for name in _PLAIN if name not in ("day", "status")}
    contacts = np.array(table["contacts"].to_pylist(), np.int64)
    return Run(
        policy=named["policy"],
        seed=named["seed"],
        offers=tuple(named["offers"]),
        contacts=contacts,
        status=tuple(table["status"].to_pylist()),
        prices=tuple(dict(day) for day in table["prices"].to_pylist()),
        claims=_claims(table),
        judged=tuple(Judged(**one) for day in table["judged"].to_pylist() for one in day),
        **flat,
    )


def _claims(table: pa.Table) -> Claims | None:
    """The sums of all days; None where nothing was claimed on any."""
    days = {name: [day for day in table[name].to_pylist() if day is not None] for name in _CLAIMS}
    if not days["beliefs"]:
        return None
    beliefs, inside, chances = (np.sum(days[name], axis=0) for name in _CLAIMS)
    return Claims(beliefs, inside.astype(np.int64), chances)


def _named(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((pq.read_schema(path).metadata or {})[_SETTINGS])
    except (pa.ArrowInvalid, KeyError) as error:
        remedy = "Remove it, or give another folder."
        raise WorkspaceError("the file is no finished run.", where=str(path), remedy=remedy) from error
    return dict(found)
