"""Three randomised logs, each in two halves: one that everybody may know, one to be replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bandit import Columns
from sims.replay import RandomisedLog

Halves = tuple[RandomisedLog, RandomisedLog]


def hillstrom(folder: Path) -> Halves:
    """An e-mail test of 2008: men's or women's merchandise, or nothing; outcome a visit within two weeks."""
    table = pq.read_table(folder / "hillstrom.parquet").to_pydict()
    names = ("recency", "history", "history_segment", "mens", "womens", "zip_code", "newbie", "channel")
    log = _log("Hillstrom", table, names, table["segment"], table["visit"], table["propensity"])
    return _halved(log, np.array(table["split"]) == "train")


def starbucks(folder: Path) -> Halves:
    """Ten offers of a rewards app (simulated by its owner); outcome the completion; halves by customer, in time."""
    shown = pq.read_table(folder / "starbucks/exposures.parquet").sort_by("received_hour").to_pydict()
    people = pq.read_table(folder / "starbucks/customers.parquet").to_pydict()
    row = {customer: i for i, customer in enumerate(people["customer_id"])}
    at = [row[customer] for customer in shown["customer_id"]]
    names = ("gender", "age", "income", "became_member_on")
    people["became_member_on"] = [None if day is None else day.timestamp() for day in people["became_member_on"]]
    columns: dict[str, list[Any]] = {name: [people[name][i] for i in at] for name in names} | {"wave": shown["wave"]}
    arm = [f"{a:02d}" for a in shown["offer_idx"]]
    log = _log("Starbucks", columns, (*names, "wave"), arm, shown["completed"], shown["propensity"])
    return _halved(replace(log, customer=np.array(at)), np.array(shown["split"]) == "train")


def open_bandit(folder: Path) -> Halves:
    """34 articles of a fashion shop at one of three places; outcome a click; halves in time, the first is known."""
    table = pq.read_table(folder / "obd_men.parquet", filters=[("behavior_policy", "==", "random")])
    shown = table.sort_by("timestamp").to_pydict()
    names = (*(f"user_feature_{i}" for i in range(4)), "position")
    arm = [f"{a:02d}" for a in shown["item_id"]]
    log = _log("Open Bandit", shown, names, arm, shown["click"], shown["propensity_score"])
    return _halved(log, np.arange(len(arm)) < len(arm) // 2)


LOGS = {"Hillstrom": hillstrom, "Starbucks": starbucks, "Open Bandit": open_bandit}


def _halved(log: RandomisedLog, known: np.ndarray[Any, np.dtype[np.bool_]]) -> Halves:
    return log.taken(np.flatnonzero(known)), log.taken(np.flatnonzero(~known))


def _log(
    name: str,
    table: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    arm: Sequence[str],
    outcome: Sequence[int],
    propensity: Sequence[float],
) -> RandomisedLog:
    values, levels = [], {}
    for column in names:
        raw = np.array(table[column], object)
        if any(isinstance(value, str) for value in raw):
            kinds, codes = np.unique(raw.astype(str), return_inverse=True)
            levels[column], raw = len(kinds), codes
        values.append(raw.astype(np.float64))
    arms, codes = np.unique(np.array(arm), return_inverse=True)
    categories = tuple(names.index(column) for column in levels)
    return RandomisedLog(
        name,
        np.column_stack(values),
        Columns(tuple(names), ("arm",), (*categories, len(names))),
        levels,
        tuple(arms.tolist()),
        codes.astype(np.int64),
        np.array(outcome, np.float64),
        np.array(propensity, np.float64),
    )
