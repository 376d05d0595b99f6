"""Which offers are relatives? Those of which the catalogue says the same, in a category column that the model reads."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bandit import Columns
from engine.rows import column_keys


def kin_keys(offers: pa.Table, offer_ids: Sequence[str], columns: Columns) -> NDArray[np.uint64]:
    """What `bandit.start` and `Posterior.widened` call kin.

    Args:
        offers: a catalogue.
        offer_ids: a offers, in the order wanted.
        columns: of the model; a category column of offers (but not their own code) is an attribute.

    Returns:
        (a, q) a key for each value of each attribute, 0 where the catalogue does not say.
    """
    place = pc.index_in(pa.array(offer_ids, pa.string()), offers["offer_id"].combine_chunks().cast(pa.string()))
    coded = [columns.names[j] for j in columns.categorical if j >= len(columns.customer)]
    names = [name.removeprefix("offer.") for name in coded if name != "offer.offer_id"]
    out = np.zeros((len(offer_ids), len(names)), np.uint64)
    for j, name in enumerate(names):
        if name in offers.column_names:
            said = offers[name].combine_chunks().cast(pa.string()).take(place)
            keys = column_keys(pc.binary_join_element_wise(name, said, "=").fill_null(""))
            out[:, j] = np.where(np.asarray(said.is_valid()), keys, 0)
    return out
