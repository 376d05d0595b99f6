"""Decisions files: what is read is what was written, and the same input is the same bytes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from allot import NotFoundError, ShapeError, WorkspaceError
from allot.uniforms import keys
from warehouse.decisions import (
    Decisions,
    decision_ids,
    decision_row,
    decisions_meta,
    read_decisions,
    write_decisions,
)
from warehouse.exclusions import excluded_by, write_exclusions

META = {"allocation_id": "A-7", "offer_ids": ["o0", "o1", "o2"], "as_of": "2026-03-01T00:00:00Z", "rate": 0.25}


def decisions(n=200, k=3, seed=1):
    rng = np.random.default_rng(seed)
    names = np.array([f"käufer {i}" for i in range(n)])
    key = keys(names)
    order = np.argsort(key)
    probability = rng.random((n, k + 1)).astype(np.float32)
    probability /= probability.sum(1, keepdims=True)
    choice = rng.integers(-1, k, n)
    held_out = rng.random(n) < 0.1
    choice[held_out] = -1
    eligible = rng.random((n, k)) < 0.8
    eligible[:5] = False
    choice[:5] = -1
    table = {name: rng.normal(size=(n, k)).astype(np.float32) for name in ("mean", "sd", "values", "costs")}
    return Decisions(
        customer_id=pa.array(names[order]),
        key=key[order],
        choice=choice,
        held_out=held_out,
        cell=rng.integers(0, 4, n),
        propensity=probability[np.arange(n), choice].astype(np.float64),
        value=rng.random(n),
        cost=rng.random(n),
        probability=probability,
        eligible=eligible,
        **table,
    )


def test_every_column_comes_back_to_the_bit(tmp_path):
    given = decisions()
    written = write_decisions(tmp_path, given, META)
    found = read_decisions(written.path)
    assert (written.rows, found.num_rows) == (200, 200)
    for name in ("probability", "mean", "sd", "values", "costs", "eligible"):
        wanted = getattr(given, name)
        assert np.array_equal(np.stack(found[name].to_numpy()), wanted), name
        assert found.schema.field(name).type == pa.list_(
            pa.bool_() if name == "eligible" else pa.float32(), wanted.shape[1]
        )
    for name in ("held_out", "cell", "propensity", "value", "cost"):
        assert np.array_equal(found[name].to_numpy(), getattr(given, name)), name
    assert found["customer_id"].combine_chunks() == given.customer_id
    offers = [None if a < 0 else META["offer_ids"][a] for a in given.choice]
    assert found["offer_id"].to_pylist() == offers
    assert decisions_meta(written.path) == META
    assert read_decisions(written.path, ["cost", "cell"]).column_names == ["cost", "cell"]


def test_status_says_why_and_held_out_wins(tmp_path):
    given = decisions()
    found = read_decisions(write_decisions(tmp_path, given, META).path)
    wanted = [
        "held_out" if held else "no_eligible" if not eligible.any() else "no_offer" if choice < 0 else "chosen"
        for held, eligible, choice in zip(given.held_out, given.eligible, given.choice, strict=True)
    ]
    assert found["status"].to_pylist() == wanted
    assert len(set(wanted)) == 4


def test_the_same_decisions_are_the_same_bytes_whatever_the_memory_layout(tmp_path, monkeypatch):
    given = decisions()
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    first = write_decisions(tmp_path / "a", given, META)
    other = replace(given, mean=np.asfortranarray(given.mean.astype(np.float64)), choice=given.choice.astype(np.int16))
    second = write_decisions(tmp_path / "b", other, META)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256
    changed = write_decisions(tmp_path / "c", replace(given, cost=given.cost + 1e-12), META)
    assert changed.sha256 != first.sha256
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["decisions.parquet"]


def test_chunks_do_not_show(tmp_path, monkeypatch):
    given = decisions()
    whole = read_decisions(write_decisions(tmp_path, given, META).path)
    monkeypatch.setattr("warehouse.decisions._CHUNK", 7)
    path = write_decisions(tmp_path, given, META).path
    assert pq.ParquetFile(path).metadata.num_row_groups == 29
    assert read_decisions(path).equals(whole)
    for customer in given.customer_id.to_pylist()[::13]:
        assert decision_row(path, customer)["customer_id"] == customer


def test_decision_ids_are_the_allocation_and_the_key():
    ids = decision_ids("alloc-ä", np.array([0, 255, 2**64 - 1], np.uint64))
    assert ids.to_pylist() == ["alloc-ä-0000000000000000", "alloc-ä-00000000000000ff", "alloc-ä-ffffffffffffffff"]
    assert decision_ids("a", np.zeros(0, np.uint64)).to_pylist() == []


def test_one_customer_is_found_and_a_stranger_is_not(tmp_path):
    given = decisions()
    path = write_decisions(tmp_path, given, META).path
    row = decision_row(path, given.customer_id[42].as_py())
    assert row == read_decisions(path).slice(42, 1).to_pylist()[0]
    assert len(row["probability"]) == 4
    with pytest.raises(NotFoundError, match="stranger"):
        decision_row(path, "stranger")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"probability": np.ones((200, 3))}, "probability has shape"),
        ({"cost": np.ones(199)}, "cost has shape"),
        ({"choice": np.full(200, 3)}, "outside"),
        ({"choice": np.full(200, -2)}, "outside"),
        ({"key": np.zeros(200, np.uint64)}, "not ascending"),
        ({"customer_id": pa.array(["a"])}, "1 customer ids"),
    ],
)
def test_arrays_that_disagree_are_refused(change, why):
    with pytest.raises(ShapeError, match=why):
        replace(decisions(), **change)


def test_offer_ids_must_name_the_offers(tmp_path):
    with pytest.raises(ShapeError, match="2 offer ids for 3"):
        write_decisions(tmp_path, decisions(), {**META, "offer_ids": ["a", "b"]})


def test_a_damaged_or_missing_file_is_named(tmp_path):
    (tmp_path / "decisions.parquet").write_bytes(b"PAR1 nonsense")
    for name in ("decisions.parquet", "none.parquet"):
        with pytest.raises(WorkspaceError, match=name):
            read_decisions(tmp_path / name)


def test_exclusions_hold_every_excluded_pair_and_all_its_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr("warehouse.exclusions._CUSTOMERS", 9)
    rng = np.random.default_rng(3)
    reasons = np.where(rng.random((50, 3)) < 0.4, rng.integers(1, 8, (50, 3)), 0).astype(np.uint64)
    reasons[7, 1] = np.uint64(4)
    reasons[8] = 0
    customers = pa.array([f"c{i}" for i in range(50)])
    rules = ["consent", "dates", "wealthy"]
    written = write_exclusions(tmp_path, customers, reasons, rules=rules, meta=META)
    found = read_decisions(written.path).to_pylist()
    wanted = [
        {
            "customer_id": f"c{i}",
            "offer_id": f"o{a}",
            "reasons": int(reasons[i, a]),
            "first_reason": rules[next(bit for bit in range(3) if int(reasons[i, a]) >> bit & 1)],
        }
        for i in range(50)
        for a in range(3)
        if reasons[i, a]
    ]
    assert found == wanted
    assert written.rows == len(wanted)
    assert excluded_by(written.path, "c7")["o1"] == ["wealthy"]
    assert excluded_by(written.path, "c8") == {}
    with pytest.raises(ShapeError, match="beyond the 2 rules"):
        write_exclusions(tmp_path, customers, reasons, rules=rules[:2], meta=META)
    with pytest.raises(ShapeError, match="49 customers"):
        write_exclusions(tmp_path, customers[:49], reasons, rules=rules, meta=META)


def test_sixty_four_rules_fit_and_no_exclusion_is_an_empty_file(tmp_path):
    rules = [f"r{i}" for i in range(64)]
    top = np.array([[0, 1 << 63]], np.uint64)
    meta = {**META, "offer_ids": ["a", "b"]}
    path = write_exclusions(tmp_path, pa.array(["c"]), top, rules=rules, meta=meta).path
    assert excluded_by(path, "c") == {"b": ["r63"]}
    empty = write_exclusions(tmp_path, pa.array(["c"]), top * np.uint64(0), rules=rules, meta=meta)
    assert (empty.rows, excluded_by(empty.path, "c")) == (0, {})
