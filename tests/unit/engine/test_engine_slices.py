"""Segments: every row is in one, an unknown column is refused, and only what the floors allow is compared."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from engine_workspace import LATE

from allot import DataError
from engine.evaluate import Question, evaluate
from engine.slices import Segments, by_segment, segment_column, segmented_by
from offline_eval import Log
from offline_eval import evaluate as judge
from sims.files import OUTCOME_DAYS, moment

NOTHING = Question(None, None, None, (), OUTCOME_DAYS, moment(LATE))


def uniform(rows=24_000, gap=0.0, thin=0):
    """Two arms by a coin, four segments; in segment 2 the first arm succeeds more often by `gap`; segment 3 is thin."""
    r = np.random.default_rng(5)
    code = r.integers(0, 3, rows)
    code[:thin] = 3
    arm = r.integers(0, 2, rows)
    outcome = (r.random(rows) < 0.3 + gap * ((code == 2) & (arm == 0))).astype(float)
    half = np.full((rows, 2), 0.5)
    rows_ = SimpleNamespace(
        reward=outcome,
        arm=arm,
        propensity=np.full(rows, 0.5),
        cluster=np.arange(rows),
        support=half > 0,
        probability=half,
    )
    target = np.tile([0.95, 0.05], (rows, 1))
    model = np.full((rows, 2), 0.3)
    report = judge(Log(outcome, arm, rows_.propensity, rows_.cluster), target, model, support=half > 0, chances=half)
    names = ("north", "east", "south", "west")[: 4 if thin else 3]
    return by_segment(report, rows_, target, model, Segments("region", names, code))


def test_a_segment_that_differs_is_the_only_finding():
    lines = {x["segment"]: x for x in uniform(gap=0.1)["segments"]}
    assert {name: x["finding"] for name, x in lines.items()} == {"north": None, "east": None, "south": "more"}
    assert lines["south"]["difference"] == pytest.approx(0.45 * 0.1, abs=4 * 0.005)
    assert lines["south"]["low"] > 0 and lines["south"]["adjusted"] < 0.01


def test_below_the_floors_a_segment_has_neither_figures_nor_a_winner():
    west = next(x for x in uniform(gap=0.1, thin=60)["segments"] if x["segment"] == "west")
    assert west["verdict"] == "insufficient" and west["rows"] == 60
    assert "effective sample size" in west["reasons"][0]
    assert [west[key] for key in ("difference", "low", "high", "adjusted", "finding")] == [None] * 5


def test_where_the_whole_is_not_supported_no_segment_is():
    assert uniform(rows=300, gap=0.5) is None


def test_every_row_is_in_one_segment():
    towns = [f"t{i % 40:02d}" for i in range(400)] + ["big"] * 100 + [None] * 50
    cut = segmented_by(pa.table({"town": towns}), "town")
    assert len(cut.names) == 20 and {"big", "others", "unknown"} <= set(cut.names)
    assert np.bincount(cut.code).sum() == 550
    for name in ("big", "unknown"):
        assert [cut.names[c] == name for c in cut.code] == [(t or "unknown") == name for t in towns]


def test_numbers_are_cut_in_quarters_in_their_order():
    x = np.random.default_rng(3).normal(size=1000)
    cut = segmented_by(pa.table({"age": [None, *x]}), "age")
    assert cut.names[-1] == "unknown" and cut.code[0] == 4
    sizes = np.bincount(cut.code)
    assert sizes.tolist() == [250, 250, 250, 250, 1]
    ends = [(x[cut.code[1:] == q].min(), x[cut.code[1:] == q].max()) for q in range(4)]
    assert all(a[1] <= b[0] for a, b in pairwise(ends))
    assert segmented_by(pa.table({"visits": [1, 2, 2, 3]}), "visits").names == ("1", "2", "3")


def test_the_column_of_the_limits_comes_first_then_one_called_segment():
    people = pa.table({"customer_id": ["a", "b"], "town": ["x", "y"], "segment": ["p", "q"], "plan": ["m", "n"]})
    assert segment_column(people) == "segment"
    assert segment_column(people, ("plan",)) == "plan"
    assert segment_column(people.select(["customer_id", "town"])) == "town"
    assert segment_column(people.select(["customer_id"])) is None


def test_an_evaluation_is_cut_by_the_column_that_is_asked_for(copies, decided):
    lab, (first, _) = copies(), decided[1]
    lab.feed(lab.answers(first, 0), 4)
    question = replace(NOTHING, campaign=lab.campaign, allocations=(first["allocation_id"],))
    with pytest.raises(DataError, match="no column 'segmnt'") as refused:
        evaluate(lab.workspace, replace(question, by="segmnt"))
    assert "segment" in refused.value.remedy
    found = evaluate(lab.workspace, question)
    assert found["slices"] is None or found["slices"]["column"] == "segment"
