"""Ids derive from everything that a decision is a function of; keys of the draws from campaign, time and seed."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from allot.uniforms import keys
from engine.audience import held_out
from engine.plan import Draws
from engine.rows import Past
from engine.stamp import Stamp, code_version
from warehouse import Workspace

STAMP = Stamp("data", "prior", "posterior", "campaign", "house", "code", Past(("a",), datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    "change",
    [
        *({field: "other"} for field in ("data", "prior", "posterior", "campaign", "house", "code")),
        {"past": Past(("a", "b"), STAMP.past.feedback_until)},
        {"past": Past(("a",), None)},
        {"past": Past(("a",), datetime(2026, 1, 2, tzinfo=UTC))},
    ],
)
def test_whatever_changes_the_allocation_is_another(change):
    assert replace(STAMP, **change).allocation_id != STAMP.allocation_id


@pytest.mark.parametrize("stamp", [STAMP, replace(STAMP, past=Past())])
def test_a_stamp_comes_back_from_its_document(stamp):
    again = Stamp.from_json(stamp.to_json())
    assert again == stamp
    assert again.allocation_id == stamp.allocation_id


def test_the_code_version_is_one_per_process():
    assert code_version() == code_version()
    assert len(code_version().split("+")[1]) == 12


def test_a_recurring_campaign_never_repeats_its_draws():
    plain = Draws(7, "spring", "2026-03-01", np.zeros(0, np.uint64))
    others = (replace(plain, seed=8), replace(plain, name="autumn"), replace(plain, as_of="2026-03-02"))
    seeds = [d.purpose("draw") for d in (plain, *others)] + [plain.purpose("rehearsal")]
    assert len(set(seeds)) == 5
    assert replace(plain).purpose("draw") == seeds[0]


def test_who_is_held_out_depends_on_the_house_and_the_customer_alone():
    people = keys(f"customer {i}" for i in range(20_000))
    ours, theirs = (Workspace(root=None, house_key=key) for key in (1, 2))
    groups = {share: held_out(ours, people, share) for share in (0.0, 0.05, 0.2, 0.9)}
    assert np.array_equal(held_out(ours, people[::-1], 0.2), groups[0.2][::-1])
    assert np.array_equal(held_out(ours, people[500:600], 0.2), groups[0.2][500:600])
    for share, group in groups.items():
        assert abs(group.mean() - share) <= 4 * np.sqrt(share * (1 - share) / len(people))
    assert not (groups[0.05] & ~groups[0.2]).any() and not (groups[0.2] & ~groups[0.9]).any()
    both = (held_out(theirs, people, 0.2) & groups[0.2]).mean()
    assert abs(both - 0.04) < 4 * np.sqrt(0.04 * 0.96 / len(people))
