"""What the model said of decisions that were served: of the arm shown alone, from the columns that it reads alone."""

import numpy as np
import pyarrow.compute as pc
import pytest

from engine import models
from engine.features import Feature, FeatureSpec
from engine.rows import released
from engine.served import served_columns
from engine.stamp import current_posterior_id
from sims.files import moment
from warehouse import connect, history, open_store, outcomes


@pytest.fixture(scope="module")
def served(heard):
    """The second allocation, which has contacts of our own to remember, as the model is shown it."""
    lab, plans = heard
    with open_store(lab.workspace) as store, connect(lab.workspace) as connection:
        foundation, _ = models.load_models(lab.workspace, store, current_posterior_id(store))
        (last,) = (a for a in store.allocations() if a.allocation_id == plans[1]["allocation_id"])
        rows = history(connection, released(lab.workspace, [last]), outcomes(store), moment(30))

        def columns(read=None):
            return served_columns(lab.workspace, store, last, rows, read)

        yield foundation, columns


def test_pieces_give_the_logits_of_the_arms_shown(served, monkeypatch):
    foundation, columns = served
    table = columns()
    whole = foundation.scored(table)
    arm = np.arange(table.num_rows) % whole.logits.shape[1]
    for size in (64, 8_192):
        monkeypatch.setattr(models, "_SHOWN_AT_ONCE", size)
        basis, logit = foundation.shown(table, arm)
        assert basis.tobytes() == whole.basis.tobytes()
        assert logit.tobytes() == whole.logits[np.arange(len(arm)), arm].tobytes()


def test_columns_that_are_not_read_change_nothing(served):
    foundation, columns = served
    some, everything = columns(foundation.features), columns()
    assert set(some.column_names) < set(everything.column_names)
    assert foundation.features.encode(some).tobytes() == foundation.features.encode(everything).tobytes()


def test_offers_of_which_nothing_is_read_are_not_remembered(served):
    _, columns = served
    family = "memory.contacts_90d_offer_"
    words = sorted(n.removeprefix(family) for n in columns().column_names if n.startswith(family))
    read = FeatureSpec((Feature(f"{family}{words[0]}", "number"), Feature("memory.contacts_90d", "number")))
    table, everything = columns(read), columns()
    assert [n for n in table.column_names if n.startswith(family)] == [f"{family}{words[0]}"]
    for name in read.names:
        assert table[name].equals(everything[name])
    assert pc.sum(table["memory.contacts_90d"]).as_py() > 0


def test_a_model_that_reads_nothing_has_a_row_for_everybody(served):
    _, columns = served
    assert columns(FeatureSpec(())).num_rows == columns().num_rows
